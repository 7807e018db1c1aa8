"""Images in third-party TFRecord files, with one label each."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest

from pipelines.options import ConvertOptions
from pipelines.sources import Sources, list_sources
from pipelines.sources.containers.kinds import stem_of, suffix_of
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


@pytest.mark.parametrize("keep_columns", [("label", "text"), "all"])
def test_tfrecord_of_shardmill_with_a_column_named_as_its_features_keeps_the_column(
    tmp_path: Path, keep_columns: Any
) -> None:
    rows = (
        {
            "image/encoded": [it],
            "image/class/label": [number % 2],
            "image/class/text": [(b"cat", b"dog")[number % 2]],
            "column/label": [100 + number],
            "column/text": [b"seen by %d" % number],
        }
        for number, it in enumerate(PICTURES)
    )
    write(tmp_path / "a.tfrecord", *rows)
    found = listed(tmp_path / "a.tfrecord", keep_columns=keep_columns)
    assert set(labels_of(found).values()) == {"cat", "dog"}
    assert [(column.name, column.type) for column in found.columns or ()] == [
        ("label", "int64"),
        ("text", "string"),
    ]


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


def test_tfrecord_folder_of_tfx_has_its_splits_and_unique_keys(tmp_path: Path) -> None:
    for split in ("Split-train", "Split-eval"):
        (tmp_path / split).mkdir()
        for shard in range(2):
            path = tmp_path / split / f"data_tfrecord-{shard:05d}-of-00002.gz"
            write(path, *({"image": [it], "label": [n % 2]} for n, it in enumerate(PICTURES)))
            path.write_bytes(gzip.compress(path.read_bytes()))
    found = listed(tmp_path)
    assert found.splits == {"train", "validation"}
    assert len(set(labels_of(found))) == 4 * len(PICTURES)


@pytest.mark.parametrize(
    ("name", "suffix", "stem"),
    [
        ("a/Flowers.TFRecord", ".tfrecord", "Flowers"),
        ("flowers-train.tfrecord-00001-of-00002", ".tfrecord", "flowers-train-00001-of-00002"),
        ("flowers.tfrecord-00001-of-00002.gz", ".tfrecord.gz", "flowers-00001-of-00002"),
        ("flowers-00001-of-00002.tfrecord.gz", ".tfrecord.gz", "flowers-00001-of-00002"),
        ("data_tfrecord-00000-of-00001.gz", "_tfrecord.gz", "data-00000-of-00001"),
        ("data_tfrecord-00000-of-00001", "_tfrecord", "data-00000-of-00001"),
        ("\u0130.tar.gz", ".tar.gz", "\u0130"),
        ("transformed-00000-of-00001.gz", None, "transformed-00000-of-00001.gz"),
    ],
)
def test_container_name_has_suffix_and_stem_around_numbers(
    name: str, suffix: str | None, stem: str
) -> None:
    assert (suffix_of(name), stem_of(name.encode()).decode()) == (suffix, stem)


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


def test_tfrecord_feature_of_several_labels_is_an_error_without_the_option(tmp_path: Path) -> None:
    rows = [{"image": [PICTURE], "label": [0]}] * 100
    write(tmp_path / "a.tfrecord", *rows, {"image": [PICTURE], "label": [0, 1]})
    with pytest.raises(UsageError, match=r"a/00000100\.png: a row has several .*--multi-label"):
        listed(tmp_path / "a.tfrecord")
    write(tmp_path / "b.tfrecord", {"image": [PICTURE], "image/class/label": [1, 2]})
    with pytest.raises(UsageError, match=r"no feature has the class.*pass --multi-label if"):
        listed(tmp_path / "b.tfrecord")


def test_tfrecord_of_objects_has_all_labels_of_each_image(tmp_path: Path) -> None:
    labels = [[b"cat", b"dog", b"cat"], [], [b"dog"]]
    rows = zip(PICTURES, labels, strict=False)
    write(tmp_path / "a.tfrecord", *(
        {"image": [image], "image/object/class/text": texts} for image, texts in rows
    ))  # fmt: skip
    options: dict[str, Any] = {"label_column": "image/object/class/text", "multi_label": True}
    found = listed(tmp_path / "a.tfrecord", **options)
    assert [{found.labels[label] for label in it.all_labels} for it in found.images] == [
        {"cat", "dog"}, set(), {"dog"}
    ]  # fmt: skip


def test_tfrecord_keep_all_leaves_lists_and_bytes_out_with_a_note(tmp_path: Path) -> None:
    mask = make_picture(7)
    features: dict[str, Any] = {
        "image/height": [5], "bbox": [0.1, 0.2], "mask": [mask], "image/note": ["süß".encode()],
        "a/twice": [1], "b/twice": [2], "embedding": [0.5] * 100_000,
    }  # fmt: skip
    rows = ({"image": [it], "label": [n % 2], **features} for n, it in enumerate(PICTURES))
    write(tmp_path / "a.tfrecord", *rows)
    found = listed(tmp_path / "a.tfrecord", keep_columns="all")
    types = {column.name: column.type for column in found.columns or ()}
    assert types == {"height": "int64", "note": "string"}
    (note,) = (note for note in found.notes if "not kept" in note)
    assert {*note.partition(": ")[2].split(", ")} == {"bbox", "mask", "twice", "embedding"}


@pytest.mark.parametrize(
    ("features", "options", "words"),
    [
        ({"mask": [b"\xff"]}, {"keep_columns": "mask"}, "column mask is neither text"),
        ({"box": [1, 2]}, {"keep_columns": "box"}, "column box is neither text.*got 1, 2"),
        ({"box": [1] * 100_000}, {"keep_columns": "box"}, "column box is neither .*got 1, 1"),
        ({"note": [b"x" * 9000]}, {"keep_columns": "note"}, r"a\.tfrecord record 0: .*too long"),
        ({"label": [1] * 10_001}, {"multi_label": True}, r"record 0: .*too many labels.*got 10001"),
        ({"x": [1]}, {"keep_columns": "y"}, "got y; pass --keep-columns all --dry-run"),
    ],
)
def test_tfrecord_values_that_cannot_be_kept_are_one_error(
    tmp_path: Path, features: dict[str, Any], options: dict[str, Any], words: str
) -> None:
    write(tmp_path / "a.tfrecord", {"image": [PICTURE], "label": [1], **features})
    with pytest.raises(UsageError, match=words):
        listed(tmp_path / "a.tfrecord", **options)


@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize("empty", [[b""], [b"  "], []])
def test_tfrecord_number_without_a_name_is_not_a_class_if_others_have_names(
    tmp_path: Path, multi_label: bool, empty: list[bytes]
) -> None:
    texts = [[b"cat"], empty, [b"dog"], empty]
    rows = [
        {"image": [it], "image/class/text": text, "image/class/label": [n % 2]}
        for n, (it, text) in enumerate(zip(PICTURES, texts, strict=False))
    ]
    write(tmp_path / "a.tfrecord", *rows)
    found = listed(tmp_path / "a.tfrecord", multi_label=multi_label)
    assert found.labels == ("cat", "dog")
    assert len(found.images) == (4 if multi_label else 2)
    assert [reject.reason for reject in found.rejects] == ["no-class"] * (0 if multi_label else 2)


@pytest.mark.parametrize("multi_label", [False, True])
def test_tfrecord_numbers_are_classes_if_no_record_has_a_name(
    tmp_path: Path, multi_label: bool
) -> None:
    rows = [
        {"image": [it], "image/class/text": [b""], "image/class/label": [n % 2]}
        for n, it in enumerate(PICTURES)
    ]
    write(tmp_path / "a.tfrecord", *rows)
    assert listed(tmp_path / "a.tfrecord", multi_label=multi_label).labels == ("0", "1")
