"""Several labels, columns and targets of arrays, compared with those of lists."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipelines.options import ConvertOptions
from pipelines.sources import Sources, list_sources
from records.dataset import open_dataset
from records.errors import CorruptDataError, ShardmillError, UsageError
from tests.pipelines.conftest import Convert
from tests.pipelines.pictures import make_file
from tests.pipelines.sources.containers.forms import tar_bytes
from tests.pipelines.sources.containers.test_arrays import (
    CIFAR,
    GREY,
    LABELS,
    Pixels,
    cifar10,
    cifar100,
    idx,
    npz,
)
from tests.pipelines.sources.lists.shapes import lines

COUNT = len(GREY)
RANDOM = np.random.default_rng(6)
BITS = RANDOM.integers(0, 2, (COUNT, 11)).astype(np.uint8)
BITS[3] = 0
AGES = RANDOM.integers(0, 99, COUNT)
WEIGHTS = RANDOM.normal(70, 9, COUNT).astype(np.float32)
SITES = np.array(["north", "süd", ""] * COUNT)[:COUNT]
TAGS = [[f"{number:02}" for number in range(11) if row[number]] for row in BITS]
NUMBERS = [f"{label}" for label in LABELS]
KEEP = {"keep_columns": "age,weight,site"}
COLUMNS: dict[str, Any] = {
    "age": AGES.tolist(), "weight": WEIGHTS.tolist(), "site": SITES.tolist()
}  # fmt: skip
OPTIONS: dict[str, Any] = {"test": 0.3, "shards": 3}
MULTI = {"multi_label": True}
ALL: dict[str, Any] = {"age": AGES, "weight": WEIGHTS[:, None], "site": SITES}

Case = tuple[str, bytes, Pixels, dict[str, Any], dict[str, Any]]
"""The name and content of a container, its pictures, the options, and the columns of the list."""

CASES: dict[str, Case] = {
    "bits": ("a.npz", npz(x=GREY, y=BITS), GREY, MULTI, {"label": TAGS}),
    "booleans": ("a.npz", npz(x=GREY, y=BITS > 0), GREY, MULTI, {"label": TAGS}),
    "minus one": (
        "a.npz", npz(x=GREY, y=BITS.astype(np.int64) * 2 - 1), GREY, MULTI, {"label": TAGS}
    ),
    "named bits": (
        "a.npz",
        npz(np.savez_compressed, x=GREY, y=BITS, boxes=np.zeros((COUNT, 4), int), id=AGES),
        GREY,
        MULTI | {"label_column": "y"},
        {"label": TAGS},
    ),
    "one-hot": (
        "a.npz",
        npz(x=GREY, y=np.eye(10, dtype=int)[LABELS]),
        GREY,
        {"label_column": "y"},
        {"label": NUMBERS},
    ),
    "columns": ("a.npz", npz(x=GREY, y=LABELS, **ALL), GREY, KEEP, {"label": NUMBERS, **COLUMNS}),
    "columns and bits": (
        "a.npz", npz(x=GREY, y=BITS, **ALL), GREY, KEEP | MULTI, {"label": TAGS, **COLUMNS}
    ),
    "all columns": (
        "a.npz",
        npz(x=GREY, y=LABELS, **ALL, points=RANDOM.normal(0, 1, (COUNT, 3))),
        GREY,
        {"keep_columns": "all", "label_column": "y"},
        {"label": NUMBERS, **COLUMNS},
    ),
    "target": (
        "a.npz", npz(x=GREY, weight=WEIGHTS), GREY, {"target_column": "weight"},
        {"weight": COLUMNS["weight"]},
    ),
    "target of integers": (
        "a.npz", npz(x=GREY, age=AGES, id=AGES), GREY, {"target_column": "age"},
        {"age": COLUMNS["age"], "id": COLUMNS["age"]},
    ),
    "target and labels": (
        "a.npz", npz(x=GREY, y=LABELS, weight=WEIGHTS, id=AGES), GREY, {"target_column": "weight"},
        {"weight": COLUMNS["weight"], "label": NUMBERS},
    ),
    "no labels": (
        "a.npz", npz(x=GREY, y=LABELS, weight=WEIGHTS), GREY,
        {"label_column": "none", "keep_columns": "weight"},
        {"weight": COLUMNS["weight"], "label": NUMBERS},
    ),
    "coarse": (
        "train.bin", cifar100(), CIFAR, {"keep_columns": "coarse"},
        {"label": [f"{n:02}" for n in LABELS], "coarse": [int(n) // 5 for n in LABELS]},
    ),
    "coarse of an archive": (
        "c.tar.gz", gzip.compress(tar_bytes([("train.bin", cifar100())])), CIFAR,
        {"keep_columns": "all"},
        {"label": [f"{n:02}" for n in LABELS], "coarse_label": [int(n) // 5 for n in LABELS]},
    ),
    "coarse as the class": (
        "train.bin", cifar100(), CIFAR, {"label_column": "coarse", "keep_columns": "fine_label"},
        {"label": [f"{n // 5:02}" for n in LABELS], "fine_label": [int(n) for n in LABELS]},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_arrays_with_columns_give_shards_of_a_list(
    convert: Convert, tmp_path: Path, case: str
) -> None:
    name, content, pixels, options, columns = CASES[case]
    stem = "train" if "bin" in name or "tar" in name else "a"
    folder = tmp_path / "pngs" / stem
    folder.mkdir(parents=True)
    rows = []
    for number, picture in enumerate(pixels):
        Image.fromarray(picture).save(folder / f"{number:08}.png")
        cells = {column: values[number] for column, values in columns.items()}
        rows.append({"path": f"{stem}/{number:08}.png", **cells})
    path = make_file(tmp_path, "list.jsonl", lines(*rows))
    of_list = {it: value for it, value in options.items() if it != "label_column"}
    if options.get("label_column") == "none":
        of_list["label_column"] = "none"
    if options.get("keep_columns") == "all":
        of_list["keep_columns"] = ",".join(columns.keys() - {"label"})
    given = {"source": str(tmp_path / "pngs"), "list": str(path), "output": str(tmp_path / "a")}
    convert(**OPTIONS, **of_list, **given)
    source = make_file(tmp_path, name, content)
    convert(**OPTIONS, **options, source=str(source), output=str(tmp_path / "b"))
    expected = sorted((tmp_path / "a").glob("*.tfrecord"))
    assert expected
    for shard in (*expected, tmp_path / "a" / "labels.txt"):
        assert (tmp_path / "b" / shard.name).read_bytes() == shard.read_bytes()
    assert open_dataset(tmp_path / "b").columns == open_dataset(tmp_path / "a").columns


def listed(tmp_path: Path, name: str, content: bytes, **options: Any) -> Sources:
    source = make_file(tmp_path, name, content)
    return list_sources(ConvertOptions(source=str(source), output="", **options))


def test_npz_columns_of_splits_have_names_without_the_split(tmp_path: Path) -> None:
    arrays = {
        f"{name}_{split}": values[:count]
        for split, count in (("train", COUNT), ("test", 20))
        for name, values in {"x": GREY, "fine": LABELS, "coarse": LABELS // 5, "age": AGES}.items()
    }
    found = listed(tmp_path, "a.npz", npz(**arrays), label_column="fine", keep_columns="all")
    assert [column.name for column in found.columns or ()] == ["age", "coarse"]
    assert len(found.images) == COUNT + 20
    assert found.splits == {"train", "test"}
    with pytest.raises(UsageError, match=r"several arrays.*fine.*age; pass --label-column fine"):
        listed(tmp_path, "a.npz", npz(**arrays))


@pytest.mark.parametrize("name", ["y", "y_train"])
def test_npz_named_labels_that_a_split_lacks_are_not_replaced_by_others(
    tmp_path: Path, name: str
) -> None:
    arrays = {"x_train": GREY, "y_train": LABELS, "x_test": GREY[:20], "coarse_test": AGES[:20]}
    found = listed(tmp_path, "a.npz", npz(**arrays), label_column=name)
    assert len(found.images) == COUNT
    assert {reject.reason for reject in found.rejects} == {"no-class"}
    assert len(found.rejects) == 20


@pytest.mark.parametrize("names", [("x_train", "y_train", "id"), ("x", "y", "y_train")])
def test_npz_labels_have_the_split_of_the_images(tmp_path: Path, names: tuple[str, ...]) -> None:
    arrays = dict(zip(names, (GREY, LABELS, AGES + 100), strict=True))
    found = listed(tmp_path, "a.npz", npz(**arrays))
    assert found.labels == tuple(map(str, range(10)))


def test_npz_keep_all_leaves_arrays_of_lists_and_objects_out_with_a_note(tmp_path: Path) -> None:
    arrays: dict[str, Any] = {
        "x": GREY, "y": LABELS, "points": np.zeros((COUNT, 3)), "size": np.zeros(7),
        "objects": np.array([{}] * COUNT), "deep": np.zeros((COUNT, 2, 2)),
        "raw": np.array([b"\xff"] * COUNT), "age": AGES.astype(float),
    }  # fmt: skip
    found = listed(tmp_path, "a.npz", npz(**arrays), keep_columns="all", label_column="y")
    assert [(column.name, column.type) for column in found.columns or ()] == [("age", "int64")]
    (note,) = (note for note in found.notes if "not kept" in note)
    assert note.endswith(": points, objects, deep, raw")


@pytest.mark.parametrize(
    ("arrays", "options", "message"),
    [
        ({"y": BITS}, {}, r"no array has one .*with the shape \(40, 11\); pass --multi-"),
        ({"y": BITS * 2}, MULTI, r"a\.npz: image 0, class \d+: a value .* y is not 0 or 1"),
        ({"y": BITS, "z": BITS}, MULTI, r"several arrays.*got y, z; pass --label-column y"),
        ({"y": BITS}, {"label_column": "y"}, r"has several labels.*--multi-label"),
        ({"y": BITS.astype(float)}, MULTI, "give no image a class"),
        ({"y": BITS.astype(float)}, MULTI | {"label_column": "y"}, r"does not have labels"),
        ({"y": LABELS}, {"label_column": "z"}, r"--label-column is not an array.*y, got z"),
        ({"y": LABELS, "names": np.array(["a"] * 10)}, {"label_column": "names"},
         r"--label-column is not an array.*y, got names"),
        ({"y": LABELS}, {"label_column": "x"}, r"--label-column is not an array.*y, got x"),
        ({"y": LABELS}, {"keep_columns": "z"}, r"--keep-columns is not an array.*y, got z"),
        ({"y": LABELS}, {"target_column": "z"}, r"--target-column is not an array.*expected y"),
        ({"y": LABELS, "z": BITS}, {"keep_columns": "z"}, r"one value per image.*got z uint8"),
        ({"y": LABELS, "z": AGES[:9]}, {"keep_columns": "z"}, r"is not an array of the file with"),
        ({"y": LABELS, "z": np.array([{}] * COUNT)}, {"keep_columns": "z"}, r"got z objects"),
        ({"y": LABELS, "z": np.array(["x" * 9000] * COUNT)}, {"keep_columns": "z"},
         r"a\.npz: image 0 of x: the values .* too long"),
        ({"z": np.array(["x"] * COUNT)}, {"target_column": "z"},
         r"a\.npz: a/00000000\.png: a value of the target column z is not a finite.*got x"),
        ({"z": np.full(COUNT, np.inf)}, {"target_column": "z"}, r"finite number.*got inf"),
        ({"z": np.full(COUNT, np.nan)}, {"target_column": "z"}, r"no image has a value"),
        ({"y": np.full(COUNT, 0xFFFFFFFF, "<u4").view("<U1")}, {}, "not Unicode"),
    ],
)  # fmt: skip
def test_npz_whose_arrays_are_not_usable_is_one_error(
    tmp_path: Path, arrays: dict[str, Any], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ShardmillError, match=message):
        listed(tmp_path, "a.npz", npz(x=GREY, **arrays), **options)


def test_npz_arrays_that_expand_too_much_are_one_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = "pipelines.sources.containers.formats.npz"
    content = npz(np.savez_compressed, x=GREY, y=np.ones((COUNT, 9), np.uint8), z=AGES)
    monkeypatch.setattr(f"{module}._MOST_ONES", 9 * COUNT - 1)
    with pytest.raises(CorruptDataError, match="too many labels"):
        listed(tmp_path, "a.npz", content, multi_label=True, label_column="y")
    monkeypatch.setattr(f"{module}._MOST_VALUES", COUNT - 1)
    with pytest.raises(UsageError, match=r"arrays to keep are too large.*got 40 values"):
        listed(tmp_path, "a.npz", content, label_column="none", keep_columns="z")
    wide = npz(np.savez_compressed, x=GREY, y=np.zeros((COUNT, 10_001), np.uint8))
    with pytest.raises(CorruptDataError, match="too many labels"):
        listed(tmp_path, "a.npz", wide, multi_label=True)


@pytest.mark.parametrize(
    ("name", "content", "options", "message"),
    [
        ("train.bin", cifar100(), {"keep_columns": "x"}, "coarse_label, fine_label, got x"),
        ("train.bin", cifar100(), {"label_column": "x"}, "--label-column is not a label of the"),
        ("test_batch.bin", cifar10(), {"keep_columns": "coarse"}, "expected label, got coarse"),
        ("train.bin", cifar100(), MULTI,
         "--multi-label does not apply to CIFAR files.*one label, and coarse_label in CIFAR-100"),
        ("train-images-idx3-ubyte", idx(GREY), MULTI,
         r"does not apply to idx files.*label, from the file labels-idx1-ubyte; omit --multi"),
        ("train-images-idx3-ubyte", idx(GREY), {"keep_columns": "all"}, "--keep-columns does not"),
        ("train-images-idx3-ubyte", idx(GREY), {"target_column": "x"}, "--target-column does not"),
        ("train-images-idx3-ubyte", idx(GREY), {"label_column": "x"}, "--label-column does not"),
    ],
)  # fmt: skip
def test_array_without_such_labels_or_columns_is_an_error_that_names_the_existing_ones(
    tmp_path: Path, name: str, content: bytes, options: dict[str, Any], message: str
) -> None:
    make_file(tmp_path, "train-labels-idx1-ubyte", idx(LABELS))
    with pytest.raises(UsageError, match=message):
        listed(tmp_path, name, content, **options)


def test_idx_with_label_column_none_has_one_class(tmp_path: Path) -> None:
    make_file(tmp_path, "train-labels-idx1-ubyte", idx(LABELS))
    found = listed(tmp_path, "train-images-idx3-ubyte", idx(GREY), label_column="none")
    assert found.labels == ("image",)
