"""Datasets in which the file of one shard contains the records of another shard."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.compact import compact
from pipelines.extract import extract
from records.dedup import find_near_duplicates
from records.errors import CorruptDataError
from records.format.image_options import ImageOptions
from tests.pipelines.conftest import Convert
from tests.pipelines.pictures import make_file, make_picture

COMMANDS: dict[str, Callable[[str, str], object]] = {
    "compact": compact,
    "extract": extract,
    "near duplicates": lambda dataset, _: find_near_duplicates(dataset),
}


@pytest.fixture(params=["equal sizes", "other sizes"])
def misplaced(request: pytest.FixtureRequest, convert: Convert, source: Path, output: Path) -> Path:
    for number in range(40):
        size = (6, 5 + number % 7)
        make_file(source, f"cat/n{number:02d}.png", make_picture(number, size=size))
    equal = ImageOptions(store="raw", resize=(6, 5))
    convert(shards=4, images=equal if request.param == "equal sizes" else ImageOptions())
    first, second = sorted(output.glob("train-*.tfrecord"))[1:3]
    first.write_bytes(second.read_bytes())
    return output


@pytest.mark.parametrize("command", COMMANDS)
def test_misplaced_shard_is_damage_for_commands_that_read_all_records(
    misplaced: Path, tmp_path: Path, command: str
) -> None:
    with pytest.raises(CorruptDataError, match="train-00001-of-00004"):
        COMMANDS[command](str(misplaced), str(tmp_path / "new"))
    assert not (tmp_path / "new" / "dataset.json").exists()
    assert not (misplaced / "hashes").exists() or not list(
        (misplaced / "hashes").glob("*00001-of*")
    )
