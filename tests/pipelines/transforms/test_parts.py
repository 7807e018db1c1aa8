"""Parts: staged rows, their order, and damage to their files."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from pipelines.options import ConvertOptions
from pipelines.runners.base import run_shard
from pipelines.sources import Sources
from pipelines.sources.base import read_source_filter
from pipelines.transforms.parts import Part, PartWriter, list_parts
from pipelines.transforms.write_run import WriteOptions, begin_run, make_task
from records.errors import InputNotFoundError, StorageError, UsageError
from records.runtime.shard_worker import CancelledError
from records.storage.work_folder import PARTS
from tests.pipelines.pictures import CORRUPT, PICTURE, make_picture
from tests.pipelines.transforms.rows import Rows

GOOD: dict[str, Any] = {"key": "a/b.png", "label": "a", "image": PICTURE}
OTHER: dict[str, Any] = {"key": "a/c.png", "label": "a", "image": make_picture(1)}


def options_of(output: Path, **options: Any) -> WriteOptions:
    convert = ConvertOptions(source="", output=str(output), **options)
    return WriteOptions(convert, read_source_filter(convert, None))


def write_parts(rows: Rows, output: Path, size: int = 1000) -> list[Part]:
    parts = []
    for first in range(0, len(rows), size):
        writer = PartWriter(str(output))
        for row in rows[first : first + size]:
            writer.add(row)
        part = writer.write()
        assert part is not None
        assert writer.write() is None
        parts.append(part)
    return parts


def listed(rows: Rows, output: Path, size: int = 1000, **options: Any) -> Sources:
    given = options_of(output, **options)
    return list_parts(write_parts(rows, output, size), given.convert, given.source_filter)


@pytest.mark.parametrize("size", [1, 7, 100])
def test_list_parts_does_not_depend_on_order_and_size_of_parts(tmp_path: Path, size: int) -> None:
    rows = [
        {"key": f"{number}.png", "label": number % 3, "image": make_picture(number)}
        for number in range(40)
    ]
    expected = listed(rows, tmp_path / "a")
    shuffled = [*rows, *rows[:9]]
    random.Random(size).shuffle(shuffled)
    found = listed(shuffled, tmp_path / "b", size)
    names = ["key", "label", "size_bytes", "fingerprint"]
    tables = [it.images.sort("key").select(names) for it in (expected, found)]
    assert tables[0].equals(tables[1])
    assert found.notes == ["9 rows twice; each image is stored once"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": "c"}, "labels, got a and c"),
        ({"split": "test"}, "splits, got none and test"),
        ({"group": "g"}, "groups, got g and none"),
        ({"image": CORRUPT}, "images, got XXH3-128 .* and XXH3-128"),
        ({"image": None, "uri": "/x/y.png"}, "URIs, got /x/y.png and none"),
    ],
)
def test_list_parts_different_rows_of_one_key_are_an_error_in_any_order(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    texts = set()
    for order in (1, -1):
        rows = [OTHER, *[GOOD, GOOD | change][::order]]
        with pytest.raises(UsageError, match=f"row a/b.png: two rows of one key.* {message}") as it:
            listed(rows, tmp_path / str(order), 1)
        texts.add(str(it.value))
    assert len(texts) == 1


def test_list_parts_without_labels_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no row has a label"):
        listed([GOOD | {"label": ""}], tmp_path)


@pytest.mark.parametrize("options", [{"test": 1}, {"test": 0.5, "stratify": True}])
def test_list_parts_groups_and_counts_are_an_error(tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="need rows without groups"):
        listed([GOOD | {"group": "g"}, OTHER], tmp_path, **options)


def test_list_parts_of_no_rows_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputNotFoundError, match="the PCollection is empty"):
        listed([], tmp_path)


def test_list_parts_missing_or_damaged_part_is_an_error(tmp_path: Path) -> None:
    options = options_of(tmp_path)
    (part,) = write_parts([GOOD], tmp_path)
    path = tmp_path / PARTS / part.name
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    with pytest.raises(StorageError, match=f"{part.name}: a part of this run is damaged"):
        list_parts([part], options.convert, options.source_filter)
    path.unlink()
    with pytest.raises(StorageError, match=f"{part.name}: a part of this run is missing"):
        list_parts([part], options.convert, options.source_filter)


def test_shard_of_a_damaged_part_is_an_error_and_no_reject(tmp_path: Path) -> None:
    options = options_of(tmp_path)
    parts = write_parts([GOOD, OTHER], tmp_path)
    task = make_task(options, run := begin_run(options, parts))
    path = tmp_path / PARTS / parts[0].name
    path.write_bytes(bytes(9) + path.read_bytes()[9:])
    with pytest.raises(StorageError, match=f"{parts[0].name}: a file that this run wrote is dam"):
        run_shard(task, run.shards[0], lambda _images: None)
    assert not list(tmp_path.glob("*.tfrecord"))


def test_write_shard_of_a_replaced_run_is_cancelled(tmp_path: Path) -> None:
    options = options_of(tmp_path / "data")
    rows = [GOOD, OTHER]
    parts = write_parts(rows, tmp_path / "data")
    planned = begin_run(options, parts)
    task = make_task(options, planned)
    other = options_of(tmp_path / "data", seed=7)
    begin_run(other, parts)  # a later pipeline
    with pytest.raises(CancelledError):
        task.worker(planned.shards[0], lambda _images: None)
