"""A hundred days in local folders; `tests/s3/test_days.py` has those in a bucket.

SHARDMILL_TEST_DAYS=N passes N days, at least 30: each run must have a kill.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.days.places import pass_local_days

DAYS = int(os.environ.get("SHARDMILL_TEST_DAYS", "100"))


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("seed", range(3), ids="seed {}".format)
def test_random_days_leave_the_records_of_the_model(tmp_path: Path, seed: int) -> None:
    pytest.importorskip("tensorflow_datasets")
    counts = pass_local_days(tmp_path, seed, DAYS).counts
    assert counts["convert killed"]
    assert counts["repair"]
