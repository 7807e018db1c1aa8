"""Exported datasets: `convert` reads the same images, labels, keys and columns again."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.cli.convert import convert as convert_command
from pipelines.edit import remove
from pipelines.export_dataset import ExportReport, export_dataset
from records.dataset import Dataset, Record, open_dataset
from records.images import ImageOptions
from tests.pipelines.conftest import Convert
from tests.pipelines.pictures import make_file, make_picture

FORMATS = ("parquet", "webdataset", "tfds", "arrayrecord", "mds", "folder")
WITH_KEYS = FORMATS[:-1]
QUICK = [
    name if name in {"webdataset", "tfds"} else pytest.param(name, marks=pytest.mark.slow)
    for name in FORMATS
]
"""The formats, of which the quick tests run two that differ most."""
CLASSES = ["dog", "cat", "eel"]
"""The classes in the order of their labels; there is no image of the last one."""


def facts_of(record: Record) -> dict[str, Any]:
    """Return what an export carries: numbers as floats, since `convert` chooses their types."""
    columns = {
        name: value if isinstance(value, str) or not math.isnan(value) else None
        for name, value in record.columns.items()
    }
    pixels = record.decode()
    return {
        "labels": record.labels,
        "classes": record.class_names,
        "pixels": (pixels.shape, pixels.tobytes()),
        "columns": columns,
    }


def facts(dataset: Dataset) -> dict[str, list[dict[str, Any]]]:
    """Return the facts of the records of each split, in the order of their pixels."""
    return {
        split: sorted(map(facts_of, records), key=lambda it: it["pixels"])
        for split, records in dataset.items()
    }


def keys(dataset: Dataset) -> dict[str, set[str]]:
    return {split: {record.key for record in records} for split, records in dataset.items()}


def export(dataset: Path, output: Path, **options: Any) -> ExportReport:
    return export_dataset(str(dataset), str(output), **options)


def convert_again(report: ExportReport, output: Path) -> Dataset:
    """Convert an export with the options of its report, as the command line does."""
    arguments = [report.output, str(output), *report.convert, "--quiet", "--workers", "1"]
    convert_command.main(arguments, standalone_mode=False)
    return open_dataset(output)


@pytest.fixture
def of_all_kinds(source: Path, output: Path, convert: Convert) -> Path:
    """Return a dataset of two generations with images of several formats and awkward keys."""
    make_file(source, "cat/odd.gif", make_picture(1, kind="GIF"))
    make_file(source, "cat/deep.er/x.y.JPG", make_picture(2, kind="JPEG"))
    make_file(source, "dog/x.JPEG", make_picture(3, kind="JPEG"))
    make_file(source, "dog/süd 7.jpg", make_picture(4, kind="JPEG", size=(40, 30)))
    labels = make_file(source.parent, "labels.txt", "".join(f"{it}\n" for it in CLASSES).encode())
    convert(test=6, shards=3, labels=str(labels))
    make_file(source, "dog/new.png", make_picture(5))
    convert(append=True)
    remove(str(output), keys=["cat/001.png", "dog/002.png"])
    return output


@pytest.mark.parametrize("name", QUICK)
def test_export_then_convert_gives_same_images_labels_and_splits(
    of_all_kinds: Path, tmp_path: Path, name: Any
) -> None:
    exported = open_dataset(of_all_kinds)
    sized = {} if name == "folder" else {"images_per_file": 5}
    report = export(of_all_kinds, tmp_path / "out", format=name, **sized)
    again = convert_again(report, tmp_path / "again")
    assert report.images == sum(map(len, exported.values())) == 24
    assert facts(again) == facts(exported)
    assert again.labels == exported.labels


@pytest.mark.parametrize("name", WITH_KEYS)
def test_export_then_convert_gives_same_keys(
    source: Path, output: Path, tmp_path: Path, convert: Convert, name: Any
) -> None:
    make_file(source, "cat/süd 7.jpg", make_picture(4, kind="JPEG"))
    convert(test=6)
    report = export(output, tmp_path / "out", format=name)
    assert report.convert == ()
    again, exported = convert_again(report, tmp_path / "again"), open_dataset(output)
    assert keys(again) == keys(exported)
    assert facts(again) == facts(exported)


@pytest.mark.parametrize("name", QUICK)
@pytest.mark.parametrize("multi_label", [False, True])
def test_export_then_convert_gives_same_columns_and_sets_of_labels(
    tmp_path: Path, convert: Convert, name: Any, multi_label: bool
) -> None:
    columns = ["age", "label_2", "score", "site"]
    rows = list(make_rows(tmp_path / "photos", multi_label=multi_label))
    listed = make_file(
        tmp_path, "list.jsonl", b"".join(json.dumps(it).encode() + b"\n" for it in rows)
    )
    convert(
        source=str(tmp_path / "photos"),
        list=str(listed),
        multi_label=multi_label,
        keep_columns=tuple(columns),
        test=0.4,
    )
    exported = open_dataset(tmp_path / "data")
    report = export(tmp_path / "data", tmp_path / "out", format=name)
    again = convert_again(report, tmp_path / "again")
    assert [column.name for column in again.columns] == columns
    assert again.is_multi_label == multi_label
    assert facts(again) == facts(exported)


def make_rows(photos: Path, *, multi_label: bool) -> Iterator[dict[str, Any]]:
    for number in range(16):
        make_file(photos, f"{number}.png", make_picture(number))
        labels = [CLASSES[:2], [], CLASSES[1:2], CLASSES[:1]][number % 4]
        yield {
            "path": f"{number}.png",
            "label": labels if multi_label else CLASSES[number % 2],
            "age": number - 3,
            "label_2": f"it is {number}",
            "score": None if number == 5 else float(np.float32(number / 7)),
            "site": ["süd", "", "a,b"][number % 3],
        }


@pytest.mark.parametrize("name", QUICK)
def test_export_raw_images_are_png_files(
    output: Path, tmp_path: Path, convert: Convert, name: Any
) -> None:
    convert(test=6, images=ImageOptions(store="raw", resize=(7, 5)))
    report = export(output, tmp_path / "out", format=name)
    again = convert_again(report, tmp_path / "again")
    assert {record.format for record in again["train"]} == {"png"}
    assert facts(again) == facts(open_dataset(output))


@pytest.mark.parametrize("name", QUICK)
def test_export_of_one_split_has_its_images_alone(
    output: Path, tmp_path: Path, convert: Convert, name: Any
) -> None:
    convert(test=6)
    report = export(output, tmp_path / "out", format=name, split="test")
    again = convert_again(report, tmp_path / "again")
    found = [it for records in facts(again).values() for it in records]
    assert sorted(found, key=lambda it: it["pixels"]) == facts(open_dataset(output))["test"]
