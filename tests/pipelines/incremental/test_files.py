"""The shards of a dataset of several generations, listed for other readers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

import records
from records.cli.files import files
from records.dataset import decode_record
from records.dataset.dataset import SplitNotFoundError
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


def test_files_have_the_path_of_the_dataset_as_given(
    grown: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(grown.parent)
    given = f"{grown.name}/"
    lines = list_files(given).splitlines()
    assert all(line.startswith(given) and Path(line).is_file() for line in lines)
    by_split = json.loads(list_files(given, "--json"))
    assert [path for paths in by_split.values() for path in paths] == lines


def test_files_of_a_url_are_urls(convert: Convert, memory: object) -> None:
    convert(output="memory://bucket/data", shards=2)
    expected = [f"memory://bucket/data/train-0000{number}-of-00002.tfrecord" for number in (0, 1)]
    assert list_files("memory://bucket/data").splitlines() == expected
    assert [*records.open_dataset("memory://bucket/data").files()] == expected


def test_files_of_a_missing_split_are_refused(grown: Path) -> None:
    with pytest.raises(SplitNotFoundError, match=r"no split 'validation', expected test or train$"):
        records.open_dataset(grown).files("validation")
