"""Exports read by the libraries of their formats, without shardmill.

tests/libraries/test_exports.py has those that are not installed with shardmill.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from PIL import Image

from pipelines.export_dataset import export_dataset
from records.dataset import open_dataset
from tests.pipelines.conftest import Convert
from tests.pipelines.pictures import make_file, make_picture

Found = set[tuple[str, int, bytes]]
"""The key, the label and the pixels of images."""


@pytest.fixture
def data(convert: Convert, source: Path, output: Path) -> Path:
    make_file(source, "dog/x.jpg", make_picture(3, kind="JPEG", size=(40, 30)))
    convert(test=6, shards=2)
    make_file(source, "dog/new.png", make_picture(5))
    convert(append=True)
    return output


def read_with_pyarrow(folder: Path, split: str) -> Found:
    table = pq.read_table(sorted(folder.glob(f"data/{split}-*.parquet")))
    features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
    assert features == {
        "image": {"_type": "Image"},
        "label": {"names": ["cat", "dog"], "_type": "ClassLabel"},
    }
    rows = table.to_pylist()
    return {(row["image"]["path"], row["label"], pixels(row["image"]["bytes"])) for row in rows}


def read_with_tfds(folder: Path, split: str) -> Found:
    tfds = pytest.importorskip("tensorflow_datasets")
    builder = tfds.builder_from_directory(str(folder))
    assert builder.info.features["image/class/label"].names == ["cat", "dog"]
    return {
        (it["image/filename"].decode(), it["image/class/label"], it["image/encoded"].tobytes())
        for it in tfds.as_numpy(builder.as_dataset(split=split))
    }


def read_with_array_record(folder: Path, split: str) -> Found:
    """Read the records with the library itself, and the images with TFDS."""
    library = pytest.importorskip("array_record.python.array_record_module")
    tfds = pytest.importorskip("tensorflow_datasets")
    records = 0
    for path in sorted(folder.glob(f"{split}-*.array_record")):
        reader = library.ArrayRecordReader(str(path))
        records += reader.num_records()
        reader.close()
    source = tfds.builder_from_directory(str(folder)).as_data_source(split=split)
    assert len(source) == records
    return {
        (it["image/filename"].decode(), it["image/class/label"], it["image/encoded"].tobytes())
        for it in (source[number] for number in range(records))
    }


def pixels(content: bytes) -> bytes:
    return Image.open(io.BytesIO(content)).tobytes()


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("parquet", read_with_pyarrow),
        ("tfds", read_with_tfds),
        ("arrayrecord", read_with_array_record),
    ],
)
def test_export_read_by_library_gives_same_images_keys_and_labels(
    data: Path, tmp_path: Path, name: Any, read: Callable[[Path, str], Found]
) -> None:
    export_dataset(str(data), str(tmp_path / "out"), format=name, images_per_file=4)
    for split, records in open_dataset(data).items():
        expected = {(it.key, it.label, pixels(it.image)) for it in records}
        found = read(tmp_path / "out", split)
        if read in {
            read_with_tfds,
            read_with_array_record,
        }:  # TensorFlow decodes JPEG files to slightly different pixels
            found, expected = (
                {it for it in each if not it[0].endswith("jpg")} for each in (found, expected)
            )
        assert found == expected


def test_parquet_row_groups_have_at_most_a_hundred_images(
    convert: Convert, source: Path, output: Path, tmp_path: Path
) -> None:
    for number in range(120):
        make_file(source, f"cat/more{number}.png", make_picture(number))
    convert()
    export_dataset(str(output), str(tmp_path / "out"), format="parquet")
    (path,) = (tmp_path / "out" / "data").iterdir()
    file = pq.ParquetFile(path)
    rows = [file.metadata.row_group(it).num_rows for it in range(file.num_row_groups)]
    assert rows == [100, 41]


def test_parquet_card_names_the_files_of_each_split(data: Path, tmp_path: Path) -> None:
    yaml = pytest.importorskip("yaml")
    export_dataset(str(data), str(tmp_path / "out"), format="parquet", images_per_file=4)
    text = (tmp_path / "out" / "README.md").read_text()
    (config,) = yaml.safe_load(text.split("---")[1])["configs"]
    assert config["config_name"] == "default"
    for entry in config["data_files"]:
        matched = {path for pattern in entry["path"] for path in (tmp_path / "out").glob(pattern)}
        assert matched == {*(tmp_path / "out" / "data").glob(f"{entry['split']}-*")}
    assert {entry["split"] for entry in config["data_files"]} == {"train", "test"}
    assert "tfrecord" not in text.lower()
