"""Images in MDS shards of other programs."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from pipelines.options import ConvertOptions
from pipelines.sources import Sources, list_sources
from records.errors import CorruptDataError, UsageError
from tests.pipelines.pictures import make_picture
from tests.pipelines.sources.containers.forms import mds_bytes

PICTURES = [make_picture(number, kind=("PNG", "JPEG")[number % 2]) for number in range(4)]


def listed(path: Path, **options: Any) -> Sources:
    return list_sources(ConvertOptions(source=str(path), output="", **options))


def labels_of(sources: Sources) -> dict[str, list[str]]:
    return {
        image.key.decode(): [sources.labels[label] for label in image.all_labels]
        for image in sources.images
    }


@pytest.mark.parametrize(
    ("encoding", "values"),
    [
        ("int", [struct.pack("<q", number % 2) for number in range(4)]),
        ("uint8", [bytes([number % 2]) for number in range(4)]),
        ("str", [b"0", b"1", b"0", b"1"]),
        ("json", [b"0", b'"1"', b"0", b"1"]),
    ],
)
def test_mds_label_of_each_encoding_is_the_class(
    tmp_path: Path, encoding: str, values: list[bytes]
) -> None:
    rows = list(zip(PICTURES, values, strict=True))
    columns = {"image": "jpeg", "label": encoding}
    path = tmp_path / "shard.00000.mds"
    path.write_bytes(mds_bytes(columns, rows))
    assert labels_of(listed(path)) == {
        "shard.00000/00000000.png": ["0"],
        "shard.00000/00000001.jpg": ["1"],
        "shard.00000/00000002.png": ["0"],
        "shard.00000/00000003.jpg": ["1"],
    }


def test_mds_folders_are_splits_and_lists_are_labels(tmp_path: Path) -> None:
    columns = {"tags": "json", "image": "png", "key": "str"}
    for split, numbers in (("train", (0, 1, 2)), ("val", (3,))):
        (tmp_path / split).mkdir()
        rows = [
            (json.dumps(["a", "b"][:number]).encode(), PICTURES[number], b"%d.png" % number)
            for number in numbers
        ]
        (tmp_path / split / "shard.00000.mds").write_bytes(mds_bytes(columns, rows))
    found = listed(tmp_path, label_column="tags", multi_label=True)
    assert labels_of(found) == {
        "0.png": [],
        "1.png": ["a"],
        "2.png": ["a", "b"],
        "3.png": ["a", "b"],
    }
    splits = {image.key: image.split for image in found.images}
    assert splits == {
        b"0.png": "train",
        b"1.png": "train",
        b"2.png": "train",
        b"3.png": "validation",
    }


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        ({"text": "str", "label": "str"}, {}, "no column of the MDS file has images"),
        ({"a": "png", "b": "jpeg"}, {}, "more than one column of the MDS file has images"),
        ({"image": "pil", "label": "str"}, {}, "no column of the MDS file has images"),
        ({"image": "png", "label": "pkl"}, {"label_column": "label"}, "--label-column is not a"),
        ({"image": "png", "label": "str"}, {"target_column": "age"}, "--target-column is not a"),
    ],
)
def test_mds_columns_that_cannot_be_used_are_an_error(
    tmp_path: Path, columns: dict[str, str], options: dict[str, Any], message: str
) -> None:
    path = tmp_path / "a.mds"
    path.write_bytes(mds_bytes(columns, [(PICTURES[0], b"x")]))
    with pytest.raises(UsageError, match=message):
        listed(path, **options)


WHOLE = mds_bytes({"image": "png", "label": "str"}, [(PICTURES[0], b"x"), (PICTURES[2], b"y")])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it ends early"),
        (WHOLE[:200], "it ends early"),
        (WHOLE[:-1], "it ends early"),
        (b"\xff" * 40, "samples"),
        (WHOLE.replace(b'"version": 2', b'"version": 1'), "MDS version 2"),
        (WHOLE.replace(b'"label"]', b'"image"]'), "MDS version 2"),
        (WHOLE[:4] + b"\0\0\0\0" + WHOLE[8:], "configuration has an impossible size"),
        (WHOLE[:8] + b"\xff\xff\xff\xff" + WHOLE[12:], "a sample has an impossible size"),
        (WHOLE.replace(struct.pack("<II", len(PICTURES[0]), 1), bytes(8)), "sizes of the columns"),
    ],
)
def test_mds_damaged_file_is_an_error(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "a.mds"
    path.write_bytes(content)
    with pytest.raises(CorruptDataError, match=message):
        listed(path)
