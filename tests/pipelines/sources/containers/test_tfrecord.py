"""Images in third-party TFRecord files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipelines.options import ConvertOptions
from pipelines.sources import Sources, list_sources
from records.errors import CorruptDataError, InputNotFoundError, UsageError
from records.format.example import encode_example
from records.format.tfrecord import frame_bytes
from tests.pipelines.conftest import Convert
from tests.pipelines.pictures import PICTURE, make_picture

PICTURES = [make_picture(number, kind=("PNG", "JPEG")[number % 2]) for number in range(6)]


def write(path: Path, *records: dict[str, Any]) -> None:
    path.write_bytes(b"".join(frame_bytes(encode_example(record)) for record in records))


def listed(source: Path, **options: Any) -> Sources:
    return list_sources(ConvertOptions(source=str(source), output="", **options))


def labels_of(sources: Sources) -> dict[str, str]:
    return {image.key.decode(): sources.labels[image.label] for image in sources.images}


def test_tfrecord_without_keys_has_file_and_number_as_key(tmp_path: Path) -> None:
    path = tmp_path / "a.tfrecord"
    write(path, *({"image": [it], "label": [n % 2]} for n, it in enumerate(PICTURES[:2])))
    assert labels_of(listed(path)) == {"a/00000000.png": "0", "a/00000001.jpg": "1"}


def test_tfrecord_numbers_are_names_of_labels(tmp_path: Path) -> None:
    write(tmp_path / "a.tfrecord", *({"image": [PICTURES[n]], "label": [n % 2]} for n in range(4)))
    (tmp_path / "labels.txt").write_text("cat\ndog\n")
    found = listed(tmp_path / "a.tfrecord", labels=str(tmp_path / "labels.txt"))
    assert set(labels_of(found).values()) == {"cat", "dog"}


@pytest.mark.parametrize(("column", "expected"), [("coarse", {"5"}), ("name", {"x"})])
def test_tfrecord_feature_of_the_class_is_chosen_by_option(
    tmp_path: Path, column: str, expected: set[str]
) -> None:
    rows = (
        {"image": [it], "label": [n], "coarse": [5], "name": [b"x"]}
        for n, it in enumerate(PICTURES)
    )
    write(tmp_path / "a.tfrecord", *rows)
    found = listed(tmp_path / "a.tfrecord", label_column=column)
    assert set(labels_of(found).values()) == expected


def test_tfrecord_files_of_tfds_are_splits(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for split in ("train", "test"):
        path = tmp_path / "data" / f"flowers-{split}.tfrecord-00000-of-00001"
        write(path, *({"image": [it], "label": [n % 2]} for n, it in enumerate(PICTURES)))
    found = listed(tmp_path / "data")
    assert found.splits == {"train", "test"}
    assert len(found.images) == 2 * len(PICTURES)


def test_tfrecord_record_without_image_or_class_is_a_reject(tmp_path: Path) -> None:
    rows = [{"image": [it], "label": [0]} for it in PICTURES]
    write(tmp_path / "a.tfrecord", *rows, {"image": [b""], "label": [0]}, {"image": [PICTURE]})
    found = listed(tmp_path / "a.tfrecord")
    reasons = {reject.key: reject.reason for reject in found.rejects}
    assert reasons == {"a/00000006": "unreadable", "a/00000007.png": "no-class"}


@pytest.mark.parametrize(
    ("features", "words"),
    [
        ({"x": [b"text"], "label": [1]}, "no feature has one JPEG or PNG image"),
        ({"image": [PICTURE]}, "no feature has the class"),
        ({"image": [PICTURE], "image/object/class/label": [1, 2]}, "object detection"),
    ],
)
def test_tfrecord_other_features_are_one_error(
    tmp_path: Path, features: dict[str, Any], words: str
) -> None:
    write(tmp_path / "a.tfrecord", features)
    with pytest.raises(UsageError, match=words):
        listed(tmp_path / "a.tfrecord")


@pytest.mark.parametrize("at", [3, 40, -1])
def test_tfrecord_damaged_record_is_one_error(tmp_path: Path, at: int) -> None:
    path = tmp_path / "a.tfrecord"
    write(path, *({"image": [it], "label": [0]} for it in PICTURES))
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(CorruptDataError, match="damaged"):
        listed(path)


def test_dataset_of_shardmill_is_not_a_source(
    convert: Convert, output: Path, tmp_path: Path
) -> None:
    convert()
    with pytest.raises(InputNotFoundError, match=r"no (images|classes)"):
        convert(source=str(output), output=str(tmp_path / "again"))
