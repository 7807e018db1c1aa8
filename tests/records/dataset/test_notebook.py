"""Text and HTML of datasets, splits and records, for terminals and notebooks."""

from __future__ import annotations

import io
import pickle
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

import records
from records.dataset import notebook, open_dataset
from records.errors import CorruptDataError, StorageError, UsageError
from records.images import decode_record_image
from records.storage import open_storage
from tests.datasets import DatasetBuilder, Source, encode_picture, make_sources

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from records.dataset import Dataset

HOSTILE = "<script>alert(1)</script>\u202e"


@pytest.fixture
def dataset(build_dataset: Callable[..., Path]) -> Dataset:
    return open_dataset(build_dataset())


def test_record_decode_equals_decoded_record_image(dataset: Dataset) -> None:
    for record in dataset["train"]:
        pixels = record.decode()
        assert pixels.shape == (record.height, record.width, 3)
        assert pixels.dtype == np.uint8
        np.testing.assert_array_equal(
            pixels,
            decode_record_image(
                record.image, record.format, record.width, record.height, record.channels
            ),
        )


def test_record_decode_damaged_image_raises_corrupt_data(dataset: Dataset) -> None:
    record = damaged(dataset["test"][0])
    with pytest.raises(CorruptDataError):
        record.decode()
    assert record._repr_png_() is None
    assert "damaged" in record._repr_html_()


def damaged(record: records.Record) -> records.Record:
    import msgspec

    return msgspec.structs.replace(record, image=record.image[:40])


def test_record_repr_is_one_line_without_image_bytes(dataset: Dataset) -> None:
    record = dataset["train"][0]
    assert repr(record) == (
        "Record(key='cat/0.png', label=0, class_name='cat', format='png', width=8, height=6,"
        f" channels=3, image=<{len(record.image):,} bytes>)"
    )
    assert dict(record.__rich_repr__())["image"] == f"<{len(record.image):,} bytes>"


def test_record_repr_long_hostile_names_are_escaped_and_cut() -> None:
    text = repr(records.Record(b"", (0,), (HOSTILE,), "k\n" * 10_000, "png", 1, 1, 3))
    assert len(text) < 500
    assert text.isprintable()


def test_record_repr_png_has_same_pixels(dataset: Dataset) -> None:
    record = dataset["test"][0]
    png = record._repr_png_()
    assert png is not None
    with Image.open(io.BytesIO(png)) as image:
        np.testing.assert_array_equal(np.asarray(image), record.decode())


def test_dataset_repr_lists_splits_and_classes(dataset: Dataset) -> None:
    heading, *splits, classes = repr(dataset).splitlines()
    assert heading == f"Dataset({dataset.path!r})"
    assert [line.split()[:5] for line in splits] == [
        ["test", "5", "records", "1", "shard"],
        ["train", "12", "records", "2", "shards"],
    ]
    assert classes.strip() == "3 classes: cat, dog, élan"
    assert dataset.class_names == dataset.labels == ("cat", "dog", "élan")


def test_dataset_repr_thousand_classes_fits_one_screen(tmp_path: Path) -> None:
    labels = ("cat", "dog", *(f"{'c' * 90}{number}" for number in range(998)))
    DatasetBuilder(open_storage(tmp_path), labels=labels).build({"train": [make_sources(2)]})
    lines = repr(open_dataset(tmp_path)).splitlines()
    assert lines[-1].endswith("…, and 990 more")
    assert len(lines) == 3
    assert max(map(len, lines)) < 500


def test_split_repr_counts_records_of_worker_slice(build_dataset: Callable[..., Path]) -> None:
    folder = build_dataset()
    assert repr(open_dataset(folder)["train"]) == "Split('train', 12 records in 2 shards)"
    part = open_dataset(folder, shard_index=1, shard_count=4)
    assert repr(part["train"]) == "Split('train', 3 of 12 records in 2 shards)"
    assert repr(part).splitlines()[0].endswith(", slice 1 of 4")


def test_dataset_html_escapes_names_and_shows_images(tmp_path: Path) -> None:
    labels = ("cat", HOSTILE.removesuffix("\u202e"), "élan")
    DatasetBuilder(open_storage(tmp_path), labels=labels).build({"test": [make_sources(6)]})
    dataset = open_dataset(tmp_path)
    for text in (dataset._repr_html_(), dataset["test"]._repr_html_()):
        assert text.count("data:image/png;base64,") == 6
        assert "&lt;script&gt;" in text
        assert "<script" not in text
    assert "<th>test</th><td>6</td><td>1</td>" in dataset._repr_html_()
    assert "<script" not in dataset["test"][1]._repr_html_()


def test_dataset_html_damaged_record_is_marked(build_dataset: Callable[..., Path]) -> None:
    folder = build_dataset()
    shard = folder / "train-00000-of-00002.tfrecord"
    content = bytearray(shard.read_bytes())
    content[20] ^= 1
    shard.write_bytes(content)
    text = open_dataset(folder)._repr_html_()
    assert text.count(">damaged<") == 1
    assert text.count("data:image/png;base64,") == 11


def test_dataset_html_missing_index_shows_the_error(build_dataset: Callable[..., Path]) -> None:
    folder = build_dataset()
    (folder / "index/train-00000-of-00002.parquet").unlink()
    assert "a file of the dataset is missing" in open_dataset(folder)._repr_html_()


def test_dataset_html_has_bounded_size_whatever_the_images_show(tmp_path: Path) -> None:
    labels = tuple(f"{number}-{'n' * 200}" for number in range(10))
    sources = [
        Source(
            f"{number}/{'k' * 3000}".encode(),
            number % 10,
            encode_picture(number, size=(160, 120), kind="JPEG"),
        )
        for number in range(70)
    ]
    DatasetBuilder(open_storage(tmp_path), labels=labels).build({"train": [sources]})
    dataset = open_dataset(tmp_path)
    for text in (dataset._repr_html_(), dataset["train"]._repr_html_()):
        assert text.count("<img ") == 48
        assert len(text) < 300_000
        assert "and 2 more classes" in text


def test_dataset_html_of_a_rare_class_reads_only_the_first_indexes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notebook, "_SEARCHED_RECORDS", 7)
    sources = make_sources(30)
    common = [each for each in sources if each.label < 2]
    rare = [each for each in sources if each.label == 2]
    shards = [common[:5], common[5:10], common[10:], rare]
    DatasetBuilder(open_storage(tmp_path)).build({"train": shards})
    for path in sorted((tmp_path / "index").iterdir())[2:]:
        path.unlink()
    text = open_dataset(tmp_path)._repr_html_()
    assert text.count("<img ") == 7
    assert "<th>élan</th><td>10</td><td></td>" in text


def test_dataset_html_failure_of_storage_is_shown(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: object, **_options: object) -> None:
        raise StorageError("the server does not respond", path="s3://bucket/<data>")

    monkeypatch.setattr(type(dataset["train"]), "load_index", fail)
    for text in (dataset._repr_html_(), dataset["train"]._repr_html_()):
        assert "the server does not respond" in text
        assert "&lt;data&gt;" in text


@pytest.mark.parametrize("count", [1, 2, 5])
def test_find_by_label_returns_first_records_of_each_worker_slice(
    build_dataset: Callable[..., Path], count: int
) -> None:
    folder = build_dataset()
    for index in range(count):
        split = open_dataset(folder, shard_index=index, shard_count=count)["train"]
        expected = {
            label: [number for number, record in enumerate(split) if record.label == label][:2]
            for label in (0, 2)
        }
        assert split.find_by_label((0, 2), 2) == expected
        for most in (1, 3, 8, 100):
            searched = list(split)[:most]
            assert split.find_by_label((0, 2), 2, most_records=most) == {
                label: [n for n, record in enumerate(searched) if record.label == label][:2]
                for label in (0, 2)
            }


@pytest.mark.parametrize(
    ("name", "hint"), [("trian", 'did you mean "train"?'), ("Test", '"test"'), ("x", None)]
)
def test_dataset_unknown_split_raises_key_error_with_suggestion(
    dataset: Dataset, name: str, hint: str | None
) -> None:
    with pytest.raises(KeyError) as found:
        dataset[name]  # type: ignore[index]
    error = found.value
    assert isinstance(error, UsageError)
    assert "expected test or train" in str(error)
    assert (hint in str(error)) if hint else error.hint is None
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    assert name not in dataset
    assert dataset.get(name) is None  # type: ignore[call-overload]


def test_dataset_val_suggests_validation(tmp_path: Path) -> None:
    DatasetBuilder(open_storage(tmp_path)).build({"validation": [make_sources(1)]})
    with pytest.raises(KeyError, match='did you mean "validation"'):
        open_dataset(tmp_path)["val"]  # type: ignore[index]


def test_dataset_key_completions_are_split_names(dataset: Dataset) -> None:
    assert dataset._ipython_key_completions_() == ["test", "train"]
    assert {"open_dataset", "verify", "Record"} <= set(dir(records))


def test_open_dataset_relative_path_survives_chdir(
    build_dataset: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(build_dataset().parent)
    dataset = open_dataset("data")
    assert dataset.path == "data"
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert dataset["train"][0].key == "cat/0.png"
    assert len(list(dataset["test"])) == 5
