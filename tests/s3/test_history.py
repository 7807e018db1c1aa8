"""The history of ten generations in a bucket: `@N`, `log`, `diff`, `rollback` and `prune`."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.prune import prune
from pipelines.rollback import rollback
from records import verify
from records.errors import InputNotFoundError
from records.history import diff, log
from records.storage import open_storage
from tests.pipelines.history.grown import Grown, keys_at


def test_ten_generations_are_read_compared_rolled_back_and_pruned(s3: str, tmp_path: Path) -> None:
    grown = Grown(tmp_path / "source", f"{s3}/data")
    grown.grow(10)
    for number, keys in grown.keys.items():
        assert keys_at(grown.at(number)) == keys, number
        assert list(verify(grown.at(number))) == [], number
    assert [entry.records for entry in log(grown.location).generations] == [
        len(grown.keys[number]) for number in range(10, 0, -1)
    ]
    found = diff(grown.at(3), grown.at(7)).summary
    assert found.changes["added"] == len(grown.keys[7]) - len(grown.keys[3])
    grown.keys[rollback(grown.location, to=4).generation] = grown.keys[4]
    assert keys_at(grown.location) == grown.keys[4]
    assert keys_at(grown.at(10)) == grown.keys[10]
    before = set(open_storage(grown.location).list())
    report = prune(grown.location, older_than="0")
    assert report.generations == tuple(range(1, 11))
    assert before - set(open_storage(grown.location).list()) == set(report.removed)
    assert any(name.startswith("generations/0010/train-") for name in report.removed)
    assert keys_at(grown.location) == grown.keys[4]
    assert list(verify(grown.location, decode=True)) == []
    with pytest.raises(InputNotFoundError, match="pruned"):
        keys_at(grown.at(10))
    grown.append([])
    assert keys_at(grown.location) == grown.keys[10]
    assert not [name for name in open_storage(grown.location).list() if ".shardmill" in name]
