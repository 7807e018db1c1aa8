"""The shards of a dataset of several generations, listed for other readers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import records
from records.cli.files import files
from records.dataset import decode_record
from records.dataset.dataset import SplitNotFoundError
from records.errors import UsageError
from records.format.shard import read_shard
from records.storage import open_storage
from tests.pipelines.conftest import Convert
from tests.pipelines.pictures import make_file, make_picture


@pytest.fixture
def grown(convert: Convert, source: Path, output: Path) -> Path:
    """Return a dataset of three generations, with a shard of an unfinished run."""
    convert(test=0.3, shards=2, append=True)
    for night in range(2):
        for number in range(6):
            make_file(source, f"cat/{night}-{number}.png", make_picture(50 * night + number))
        convert(test=0.3, append=True)
    unfinished = output / "generations" / "0004" / "train-00000-of-00001.tfrecord"
    unfinished.parent.mkdir()
    unfinished.write_bytes((output / "train-00000-of-00002.tfrecord").read_bytes())
    return output


def list_files(*arguments: object) -> str:
    result = CliRunner().invoke(files, [*map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def read_keys(shard: Path) -> list[str]:
    frames = read_shard(open_storage(shard.parent), shard.name)
    return [decode_record(frame.payload).key for frame in frames]


def test_files_are_all_shards_of_all_generations_in_stored_order(grown: Path) -> None:
    dataset = records.open_dataset(grown)
    for split in dataset:
        listed = list_files(grown, "--split", split).splitlines()
        assert listed == [*dataset.files(split)]
        keys = [key for path in listed for key in read_keys(Path(path))]
        assert keys == [record.key for record in dataset[split]]
    assert len({Path(path).parent for path in dataset.files()}) == 3
    assert list_files(grown).splitlines() == [*dataset.files()]


def test_files_of_a_relative_path_are_absolute(
    grown: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(grown.parent)
    lines = list_files(f"{grown.name}/").splitlines()
    assert all(line.startswith(f"{grown}/") and Path(line).is_file() for line in lines)
    by_split = json.loads(list_files(grown.name, "--json"))
    assert [path for paths in by_split.values() for path in paths] == lines


@pytest.mark.parametrize("folder", ["b/data", "b/data#2", "b/data?a=b", "b/ä"])
def test_files_of_a_url_are_urls_that_exist(convert: Convert, memory: Any, folder: str) -> None:
    url = f"memory://{folder}"
    convert(output=url, shards=2)
    expected = [f"{url}/train-0000{number}-of-00002.tfrecord" for number in (0, 1)]
    assert list_files(url).splitlines() == expected
    assert [*records.open_dataset(url).files()] == expected
    assert all(memory.exists(path) for path in expected)


def test_files_show_no_password(convert: Convert, memory: object) -> None:
    convert(output="memory://user:secret@b/data")
    assert "secret" not in list_files("memory://user:secret@b/data")


def test_files_of_the_slice_of_a_worker_are_refused(grown: Path) -> None:
    part = records.open_dataset(grown, shard_index=0, shard_count=4)
    with pytest.raises(UsageError, match="cannot be those of one worker"):
        part.files()


def test_files_of_a_missing_split_are_refused(grown: Path) -> None:
    with pytest.raises(SplitNotFoundError, match=r"no split 'validation', expected test or train$"):
        records.open_dataset(grown).files("validation")
