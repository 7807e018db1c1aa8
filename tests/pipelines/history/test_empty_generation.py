"""A generation without records: all of its images were rejected."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.compact import compact
from pipelines.edit import relabel, remove
from pipelines.prune import prune
from pipelines.repair import make_options, repair
from pipelines.rollback import rollback
from records import open_dataset, verify
from records.format.layout import index_name
from records.format.manifest import read_manifest, shard_names
from records.history import diff, log
from records.storage import open_storage
from tests.pipelines.conftest import Convert
from tests.pipelines.history.grown import keys_at
from tests.pipelines.pictures import CORRUPT, content_of, make_file, make_picture


@pytest.fixture(params=["|", pytest.param(None, marks=pytest.mark.slow)], ids=["labels", "label"])
def data(request: pytest.FixtureRequest, convert: Convert, tmp_path: Path) -> Path:
    """Return a dataset whose second generation has rejects, and no record."""
    rows, source = ["path,label,age"], tmp_path / "photos"
    for generation in (1, 2):
        for number in range(9):
            key, label = f"{generation}-{number}.png", "cat" if number % 2 else "dog"
            make_file(source, key, CORRUPT if generation == 2 else make_picture(number))
            rows.append(f"{key},{label},{number}")
        file = make_file(tmp_path, "list.csv", "\n".join(rows).encode())
        convert(
            source=str(source),
            output=str(tmp_path / "data"),
            list=str(file),
            label_separator=request.param,
            keep_columns=("age",),
            append=True,
            test=0.3,
            max_rejects=99,
        )
    return tmp_path / "data"


def test_all_commands_accept_a_generation_without_records(data: Path, tmp_path: Path) -> None:
    location, keys = str(data), keys_at(str(data))
    storage, files = open_storage(location), content_of(data)
    empty = {name for name in shard_names(read_manifest(storage)) if not storage.read(name)}
    assert empty
    assert all(name.startswith("generations/0002/") for name in empty)
    given = {"list": str(tmp_path / "list.csv"), "keep_columns": ("age",)}
    options = make_options(location, str(tmp_path / "photos"), given)
    for damaged in (empty, {*map(index_name, empty)}, empty | {*map(index_name, empty)}):
        for name in damaged:
            storage.remove(name)
        assert repair(options).status == "repaired"
        assert content_of(data) == files
    summary = diff(f"{location}@1", location).summary
    assert {*summary.changes.values()} == {0}
    assert remove(location, where="age < 2 and class == 'dog'").removed == 1
    assert relabel(location, {"1-1.png": ("dog",)}).relabelled == 1
    assert compact(location, in_place=True).status == "converted"
    assert rollback(location, to=2).generation == 6
    assert keys_at(location) == keys
    compact(f"{location}@4", str(tmp_path / "new"))
    assert keys_at(str(tmp_path / "new")) == keys - {"1-0.png"}
    assert [entry.records for entry in log(location).generations] == [9, 8, 8, 8, 9, 9]
    prune(location, older_than="0")
    for dataset in (location, str(tmp_path / "new")):
        assert list(verify(dataset, decode=True)) == []
        assert open_dataset(dataset).labels == ("cat", "dog")
