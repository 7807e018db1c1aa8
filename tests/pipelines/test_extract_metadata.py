"""Extracted labels and columns: `convert` reads them back."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.cli.convert import convert as command
from pipelines.extract import extract, options_to_convert
from pipelines.extract.metadata import choose_fields, needs_text
from pipelines.sources.cells import cell_text
from pipelines.sources.lists.kept_columns import infer_columns
from records.dataset import Dataset, Record, open_dataset
from records.format.columns import Column
from tests.pipelines.conftest import Convert
from tests.pipelines.pictures import make_file, make_picture
from tests.pipelines.sources.lists.shapes import lines

NAMES = ["beach", "a,b|c", "=1+1", "train", "ünï 'x'", "7"]
"""Names of classes, which are not in this order in a sorted list."""
AWKWARD = {
    "age": int, "whole": float, "score": float, "site": str, "label": str, "labels": str,
    "file_name": str, "split": str, "patient": str, "index": int, "a b": float,
}  # fmt: skip
SIMPLE = {"age": int, "site": str, "whole": float}


def make_value(kind: type, choose: random.Random) -> Any:
    if kind is int:
        return choose.randrange(-5, 1000)
    if kind is float:
        return f"{choose.randrange(100)}.0"
    return choose.choice(["007", "x", "", "süd\n", "=2", "1,5"])


def make_rows(
    columns: dict[str, type], seed: int, *, multi_label: bool, images: int = 24
) -> list[dict[str, Any]]:
    choose = random.Random(seed)
    rows = []
    for number in range(images):
        labels = (
            choose.sample(NAMES[:-1], choose.randrange(4)) if multi_label else NAMES[number % 5]
        )
        folder = choose.choice(["", "train/", "train/x/", "test/train/", "deep/er/"])
        row = {"path": f"{folder}{number} %.{('png', 'gif')[number % 2]}", "class": labels}
        row |= {name: make_value(kind, choose) for name, kind in columns.items()}
        if "score" in columns:
            row["score"] = "" if number == 3 else str(np.float32(choose.gauss(0, 9)))
        rows.append(row)
    return rows


def make_dataset(
    convert: Convert, place: Path, rows: Sequence[dict[str, Any]], **options: Any
) -> Dataset:
    """Convert images with a list whose columns have other names than those to keep."""
    for number, row in enumerate(rows):
        kind = "GIF" if row["path"].endswith("gif") else "PNG"
        make_file(place / "photos", row["path"], make_picture(number, kind=kind))
    path = make_file(place, "list.jsonl", lines(*rows))
    names = make_file(place, "names.txt", "".join(f"{name}\n" for name in NAMES).encode())
    convert(
        source=str(place / "photos"),
        list=str(path),
        labels=str(names),
        path_column="path",
        label_column="class",
        split_column="none",
        group_column="none",
        test=0.3,
        **options,
    )
    return open_dataset(place / "data")


def convert_again(dataset: Dataset, out: Path, again: Path) -> Dataset:
    """Convert an extracted folder with the options that `extract` prints."""
    arguments = [str(out), str(again), *options_to_convert(dataset), "--quiet"]
    command.main(arguments, standalone_mode=False)
    return open_dataset(again)


def content_of(dataset: Dataset) -> dict[str, list[Any]]:
    """Return all that a record has but its key, which depends on folders, by split."""

    def describe(record: Record) -> Any:
        columns = {
            name: "nan" if isinstance(value, float) and math.isnan(value) else value
            for name, value in record.columns.items()
        }
        return record.decode().tobytes(), record.labels, record.class_names, columns

    return {split: sorted(map(describe, records), key=repr) for split, records in dataset.items()}


@pytest.mark.parametrize("multi_label", [True, False])
@pytest.mark.parametrize("columns", [SIMPLE, AWKWARD, {}], ids=["simple", "awkward", "none"])
def test_extract_then_convert_gives_same_labels_columns_and_splits(
    convert: Convert, tmp_path: Path, columns: dict[str, type], multi_label: bool
) -> None:
    rows = make_rows(columns, 1, multi_label=multi_label)
    kept = tuple(columns) or None
    dataset = make_dataset(convert, tmp_path, rows, multi_label=multi_label, keep_columns=kept)
    assert extract(dataset.path, str(tmp_path / "out")) == len(rows)
    has_metadata = (tmp_path / "out" / "train" / "metadata.jsonl").exists()
    assert has_metadata == bool(columns or multi_label)
    again = convert_again(dataset, tmp_path / "out", tmp_path / "again")
    assert (again.labels, again.columns) == (dataset.labels, dataset.columns)
    assert again.is_multi_label == multi_label
    assert content_of(again) == content_of(dataset)


def test_extract_of_several_labels_has_no_class_folders_and_one_line_per_image(
    convert: Convert, tmp_path: Path
) -> None:
    rows: list[dict[str, Any]] = [
        {"path": "val/a.png", "class": ["beach", "7"], "age": 4, "size": "0.1"},
        {"path": "val/b.png", "class": [], "age": 5, "size": ""},
    ]
    for row in rows:
        make_file(tmp_path / "photos", row["path"])
    path = make_file(tmp_path, "list.jsonl", lines(*rows))
    options = {"source": str(tmp_path / "photos"), "list": str(path)}
    convert(**options, multi_label=True, keep_columns="all")
    extract(str(tmp_path / "data"), str(tmp_path / "out"))
    files = {it.relative_to(tmp_path / "out").as_posix() for it in (tmp_path / "out").rglob("*.*")}
    assert files == {"train/a.png", "train/b.png", "train/metadata.jsonl"}
    text = (tmp_path / "out" / "train" / "metadata.jsonl").read_text()
    found = {line["file_name"]: line for line in map(json.loads, text.splitlines())}
    assert found == {
        "a.png": {"file_name": "a.png", "labels": ["7", "beach"], "age": 4, "size": 0.1},
        "b.png": {"file_name": "b.png", "labels": [], "age": 5, "size": None},
    }
    assert options_to_convert(open_dataset(tmp_path / "data")) == [
        "--multi-label", "--keep-columns", "all"
    ]  # fmt: skip


def test_extract_name_that_is_not_utf8_is_readable_with_metadata(
    convert: Convert, tmp_path: Path
) -> None:
    make_file(tmp_path / "photos", b"cat/\xff%.png")
    path = make_file(tmp_path, "list.csv", b"path,label,age\ncat/\xff%.png,cat,3\n")
    convert(source=str(tmp_path / "photos"), list=str(path), keep_columns="age")
    dataset = open_dataset(tmp_path / "data")
    extract(dataset.path, str(tmp_path / "out"))
    assert [it.name for it in (tmp_path / "out" / "train" / "cat").iterdir()] == ["%FF%.png"]
    again = convert_again(dataset, tmp_path / "out", tmp_path / "again")
    assert content_of(again) == content_of(dataset)


def test_extract_class_named_like_its_split_is_found_again(
    convert: Convert, tmp_path: Path
) -> None:
    rows = [{"path": f"{n}.png", "class": ("train", "x")[n % 2], "age": n} for n in range(6)]
    for row in rows:
        make_file(tmp_path / "photos", str(row["path"]), make_picture(int(str(row["age"]))))
    path = make_file(tmp_path, "list.jsonl", lines(*rows))
    convert(source=str(tmp_path / "photos"), list=str(path), keep_columns="all")
    dataset = open_dataset(tmp_path / "data")
    extract(dataset.path, str(tmp_path / "out"))
    assert (tmp_path / "out" / "train" / "train" / "0.png").exists()
    again = convert_again(dataset, tmp_path / "out", tmp_path / "again")
    assert content_of(again) == content_of(dataset)


NUMBERS = st.one_of(
    st.just(math.nan),
    st.integers(-(1 << 30), 1 << 30).map(float),
    st.floats(width=32, allow_infinity=False),
)


@given(values=st.lists(NUMBERS, min_size=1), is_one_part=st.booleans())
def test_metadata_numbers_of_a_column_give_its_type_and_values_again(
    values: list[float], is_one_part: bool
) -> None:
    column = Column("x", "float32")
    stored = np.array(values, np.float32)
    parts = [stored] if is_one_part else [stored[:1], stored[1:]]
    as_text = ["x"] if needs_text(column, parts) else []
    fields = choose_fields((column,), is_multi_label=False)
    found = [
        json.loads(fields.encode("a", ["c"], {"x": value}, as_text))["x"]
        for value in stored.tolist()
    ]
    assert {type(it) for it in found} <= ({str, type(None)} if as_text else {float, type(None)})
    texts = [str(cell_text(it)) for it in found]
    again = [math.nan if not text else float(np.float32(text)) for text in texts]
    assert np.array_equal(np.array(again, np.float32), stored, equal_nan=True)
    if any(texts):
        assert infer_columns({"x": texts})[0].type == "float32"


@pytest.mark.parametrize(
    ("key", "label"),
    [("metadata.jsonl/1.png", "a"), ("x/1.png", "metadata.jsonl"), ("METADATA.jsonl/1.png", "a")],
)
def test_extract_folder_with_the_name_of_the_metadata_is_renamed(
    convert: Convert, output: Path, tmp_path: Path, key: str, label: str
) -> None:
    source = tmp_path / "named"
    make_file(source, key, make_picture(1))
    make_file(source, "y/2.png", make_picture(2))
    rows = f"path,label,age\n{key},{label},1\ny/2.png,a,2\n"
    listed = make_file(tmp_path, "named.csv", rows.encode())
    convert(source=str(source), list=str(listed), keep_columns="all")
    extract(str(output), str(tmp_path / "out"))
    lines_found = (tmp_path / "out" / "train" / "metadata.jsonl").read_text().splitlines()
    paths = [json.loads(line)["file_name"] for line in lines_found]
    assert all((tmp_path / "out" / "train" / path).is_file() for path in paths)
    assert len(paths) == 2
