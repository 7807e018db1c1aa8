"""The note on an unfinished run is about this run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from records.format import layout
from records.storage import open_storage
from records.verification.unfinished import find_unfinished

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.mark.parametrize(("digest", "is_refused"), [("a" * 32, True), ("b" * 32, False)])
def test_report_of_an_earlier_run_does_not_describe_the_unfinished_run(
    build_dataset: Callable[..., Path], digest: str, is_refused: bool
) -> None:
    storage = open_storage(build_dataset())
    shard = layout.shard_name("train", 0, 1, generation=2)
    plan = {"plan_digest": "a" * 32, "fingerprint": "", "encoders": {}, "shards": [shard]}
    storage.replace(layout.RUN_PLAN, json.dumps(plan).encode())
    report = {"status": "too-many-rejects", "plan_digest": digest, "rejects": 3}
    storage.replace(layout.REPORT, json.dumps(report).encode())
    run, names = find_unfinished(storage)
    assert run is not None
    assert (run.too_many_rejects, run.shards) == (is_refused, 1)
    assert shard in names
