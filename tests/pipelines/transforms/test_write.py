"""Datasets from PCollections, compared with those of folders and lists."""

from __future__ import annotations

import inspect
import json
import pickle
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.metrics import MetricsFilter
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing import test_stream

import shardmill as sm
from pipelines.report import Report
from pipelines.transforms import ReadRecords, WriteDataset
from pipelines.transforms import parts as parts_module
from pipelines.transforms.parts import Part
from pipelines.transforms.write_run import PlannedRun, WriteOptions, begin_run
from records import verify
from records.errors import InputNotFoundError, OutputError, UsageError
from records.format import layout
from tests.pipelines.conftest import Convert, manifest_of, rejects_of
from tests.pipelines.pictures import (
    CORRUPT,
    NOT_OF_THE_DATASET,
    PICTURE,
    content_of,
    make_file,
    make_picture,
)
from tests.pipelines.transforms.rows import Rows, rows_of, run, write

SAME: dict[str, Any] = {"test": 0.3, "shards": 3}


class Photo(NamedTuple):
    key: str
    label: str
    image: bytes


@pytest.fixture
def expected(convert: Convert, source: Path, output: Path) -> dict[str, bytes]:
    """Return the dataset of the folder, in which some images are rejected."""
    make_file(source, "dog/bad.png", CORRUPT)
    make_file(source, "dog/empty.png", b"")
    make_file(source, "cat/deep/er.gif", make_picture(5, kind="GIF"))
    make_file(source, "cat/hat 100% é.jpg", make_picture(6, kind="JPEG"))
    convert(**SAME)
    return content_of(output)


@pytest.fixture
def rows(expected: dict[str, bytes], source: Path) -> Rows:
    return rows_of(source)


@pytest.mark.parametrize("part_rows", [1, 2, 4, 10_000])
def test_write_any_order_and_part_size_gives_the_bytes_of_the_folder(
    rows: Rows,
    expected: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    part_rows: int,
) -> None:
    monkeypatch.setattr(parts_module, "_PART_ROWS", part_rows)
    random.Random(part_rows).shuffle(rows)
    report = write(rows, tmp_path / "b", **SAME)
    assert content_of(tmp_path / "b") == expected
    assert report.status == "converted"
    assert (report.counts.found, report.counts.stored, report.counts.rejected) == (25, 23, 2)
    assert list(verify(tmp_path / "b")) == []


def test_write_part_is_full_after_its_bytes(
    rows: Rows, expected: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts_module, "_PART_BYTES", 500)
    sizes: list[int] = []

    def begin_and_note(options: WriteOptions, parts: Sequence[Part]) -> PlannedRun:
        sizes.extend(part.images_bytes for part in parts)
        return begin_run(options, parts)

    monkeypatch.setattr("pipelines.transforms.write.begin_run", begin_and_note)
    write(rows, tmp_path / "b", **SAME)
    assert len(sizes) > 3
    assert max(sizes) < 500 + max(len(row["image"]) for row in rows)
    assert content_of(tmp_path / "b") == expected


def test_write_each_bundle_twice_gives_the_bytes_of_the_folder(
    rows: Rows, expected: dict[str, bytes], tmp_path: Path
) -> None:
    write(rows, tmp_path / "b", bundle_repeat=1, **SAME)
    assert content_of(tmp_path / "b") == expected


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["multi_threading", "multi_processing"])
def test_write_several_workers_give_the_bytes_of_the_folder(
    rows: Rows, expected: dict[str, bytes], tmp_path: Path, mode: str
) -> None:
    options = PipelineOptions([f"--direct_running_mode={mode}", "--direct_num_workers=2"])
    with beam.Pipeline("DirectRunner", options) as pipeline:
        pipeline | beam.Create(rows) | WriteDataset(tmp_path / "b", **SAME)
    assert content_of(tmp_path / "b") == expected


@pytest.mark.parametrize(
    "make",
    [
        lambda row: row,
        lambda row: beam.Row(**row),
        lambda row: Photo(**row),
        lambda row: row | {"key": row["key"].encode(), "height": 7},
        lambda row: row | {"uri": None, "split": None, "group": None},
    ],
    ids=["mapping", "row", "named tuple", "bytes key", "optional fields"],
)
def test_write_rows_of_any_type_give_the_bytes_of_the_folder(
    rows: Rows,
    expected: dict[str, bytes],
    tmp_path: Path,
    make: Callable[[dict[str, Any]], Any],
) -> None:
    write(map(make, rows), tmp_path / "b", **SAME)
    assert content_of(tmp_path / "b") == expected


@pytest.mark.parametrize("prefix", ["", "file://"])
def test_write_uris_give_the_bytes_of_the_folder(
    rows: Rows, source: Path, expected: dict[str, bytes], tmp_path: Path, prefix: str
) -> None:
    for row in rows[::2] if prefix else rows:  # bytes and URIs in one PCollection too
        del row["image"]
        path = f"{source}/{row['key']}"
        row["uri"] = prefix + (path.replace("%", "%25") if prefix else path)
    write(rows, tmp_path / "b", **SAME)
    assert content_of(tmp_path / "b") == expected


def test_write_urls_of_an_object_store_to_another_give_the_bytes_of_the_folder(
    rows: Rows, source: Path, expected: dict[str, bytes], memory: Any
) -> None:
    for number, row in enumerate(rows):
        memory.pipe_file(f"/photos/{number}", row.pop("image"))
        row["uri"] = f"memory://photos/{number}"
    write(rows, "memory://bucket/data", **SAME)
    found = {
        path.removeprefix("/bucket/data/"): memory.cat_file(path)
        for path in memory.find("/bucket/data")
    }
    assert all(map(found.pop, NOT_OF_THE_DATASET))
    assert found == expected


def test_write_absent_file_is_a_reject(rows: Rows, tmp_path: Path) -> None:
    uri = str(tmp_path / "absent.jpg")
    report = write([*rows, {"key": "cat/x", "label": "cat", "uri": uri}], tmp_path / "b")
    assert rejects_of(tmp_path / "b")["cat/x"] == "unreadable"
    assert report.rejects_by_reason == {"corrupt": 1, "empty": 1, "unreadable": 1}


def test_write_splits_and_groups_give_the_bytes_of_a_list(
    rows: Rows, source: Path, tmp_path: Path
) -> None:
    words = ["train", "", "val", None, "train", "validation"]
    lines = []
    for number, row in enumerate(rows):
        row |= {"split": words[number % 6], "group": f"patient {number % 5}"}
        lines.append({name: row[name] or "" for name in ("key", "label", "split", "group")})
    listed = make_file(tmp_path, "list.jsonl", "\n".join(map(json.dumps, lines)).encode())
    sm.convert(source, tmp_path / "a", list=listed, test=0.3, path_column="key")
    write(rows, tmp_path / "b", test=0.3)
    assert content_of(tmp_path / "b") == content_of(tmp_path / "a")
    assert set(manifest_of(tmp_path / "b").splits) == {"train", "validation", "test"}


@pytest.mark.parametrize("options", [{}, {"test": 0.3, "stratify": True}], ids=str)
def test_write_several_labels_and_kept_fields_give_the_bytes_of_a_list(
    rows: Rows, source: Path, tmp_path: Path, options: dict[str, Any]
) -> None:
    names = ["beach", "sun, rain", "zoo"]
    lines = []
    for number, row in enumerate(rows):
        row |= {
            "label": [names[place] for place in range(3) if number >> place & 1],
            "age": None if number == 3 else number,
            "score": number / 7,
            "site": ("007", "", "süd", True)[number % 4],
        }
        lines.append({name: row[name] for name in ("key", "label", "age", "score", "site")})
    rows[6] |= {"label": "beach", "score": np.float64(rows[6]["score"]), "age": np.int8(6)}
    lines[6]["label"] = ["beach"]
    rows[5] |= {"label": {*rows[5]["label"], " zoo "}}
    lines[5]["label"] = [*lines[5]["label"], "zoo"]
    listed = make_file(tmp_path, "list.jsonl", "\n".join(map(json.dumps, lines)).encode())
    options = {"multi_label": True, "keep_columns": ["site", "age", "score"], **options}
    sm.convert(source, tmp_path / "a", list=listed, path_column="key", **options)
    random.Random(1).shuffle(rows)
    write(rows + rows[:3], tmp_path / "b", **options)
    assert content_of(tmp_path / "b") == content_of(tmp_path / "a")
    assert manifest_of(tmp_path / "b").settings.is_multi_label
    assert list(verify(tmp_path / "b")) == []


def test_write_rows_without_any_target_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r"no image has a value in the target column age"):
        write([GOOD | {"age": None}], tmp_path / "b", target_column="age")


@pytest.mark.parametrize("has_labels", [False, True], ids=["no labels", "labels"])
@pytest.mark.parametrize("options", [{"multi_label": True}, {"keep_columns": ["size"]}], ids=str)
def test_write_target_gives_the_bytes_of_a_list(
    rows: Rows, source: Path, tmp_path: Path, options: dict[str, Any], *, has_labels: bool
) -> None:
    lines = []
    for number, row in enumerate(rows):
        label = {"label": row.pop("label")}
        age = None if number == 5 else number * 1.5
        row.update({"age": age, "size": number}, **(label if has_labels else {}))
        lines.append({name: value for name, value in row.items() if name != "image"})
    rows[3]["age"] = np.float32(4.5)
    rows[4]["age"] = np.int64(6)
    listed = make_file(tmp_path, "list.jsonl", "\n".join(map(json.dumps, lines)).encode())
    options = {"target_column": "age", "test": 0.3, **options}
    sm.convert(source, tmp_path / "a", list=listed, path_column="key", **options)
    report = write(rows + rows[:6], tmp_path / "b", **options)
    assert content_of(tmp_path / "b") == content_of(tmp_path / "a")
    assert (manifest_of(tmp_path / "b").labels == ("image",)) != has_labels
    assert sum("1 image without a value in the target column age" in it for it in report.notes) == 1


@pytest.mark.parametrize(
    "options",
    [
        {"resize": 8, "store": "jpeg", "jpeg_quality": 80},
        {"store": "raw", "resize": (4, 3), "fit": "pad", "channels": 1},
        {"classes": ["cat"]},
        {"map": {"cat": "pet", "dog": "pet"}},
        {"test": 3, "validation": 2, "seed": 7},
        {"test": 0.3, "stratify": True},
        {"test": 0.4, "group_by": r"(\d)\.png"},
        {"max_pixels": 29, "max_rejects": 25},
        {"max_pixels": 29, "quarantine": True},
        {"shard_mb": 1, "check": "header"},
        {"test": 0.3, "quality": True},
    ],
    ids=str,
)
def test_write_options_give_the_bytes_of_the_folder(
    rows: Rows, source: Path, tmp_path: Path, options: dict[str, Any]
) -> None:
    if "max_pixels" in options:
        rows.append({"key": "cat/one.png", "label": "cat", "image": make_picture(size=(1, 1))})
        make_file(source, "cat/one.png", make_picture(size=(1, 1)))
    sm.convert(source, tmp_path / "a", **options)
    report = write(rows, tmp_path / "b", **options)
    assert report.quarantined == options.get("quarantine", False)
    assert content_of(tmp_path / "b") == content_of(tmp_path / "a")


def test_write_files_of_options_are_read_where_the_pipeline_is_made(
    rows: Rows, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    options: dict[str, Any] = {"labels": "names.txt", "exclude": "keys.txt", "describe": "it.toml"}
    make_file(tmp_path, "names.txt", b"zebra\ndog\ncat\n")
    make_file(tmp_path, "keys.txt", b"cat/000.png\n")
    make_file(tmp_path, "it.toml", b'name = "Pets"\n')
    sm.convert(source, "a", **options)
    for row in rows:
        row["label"] = {"cat": 2, "dog": 1}[row["label"]]
    transform = WriteDataset("b", **options)
    monkeypatch.chdir("/")
    with beam.Pipeline() as pipeline:
        pipeline | beam.Create(rows) | pickle.loads(pickle.dumps(transform))
    assert content_of(tmp_path / "b") == content_of(tmp_path / "a")


def test_write_defaults_are_those_of_convert() -> None:
    theirs = inspect.signature(sm.convert).parameters
    own = inspect.signature(WriteDataset.__init__).parameters
    assert {name: own[name].default for name in own if name != "self"} == {
        name: theirs[name].default for name in own if name != "self"
    }
    assert set(theirs) - set(own) == {
        "source", "list", "path_column", "label_column", "split_column", "group_column",
        "image_folder", "label_separator", "leaf_class", "layout",
        "follow_symlinks", "allow_url", "append", "allow_new_classes", "max_gone", "accept_gone",
        "rename_class", "processes", "dry_run",
        "runner", "beam_flags", "storage_patience", "on_progress",
    }  # fmt: skip


def test_write_counts_stored_and_rejected_images(rows: Rows, tmp_path: Path) -> None:
    _, result = run(rows, tmp_path / "b")
    found = result.metrics().query(MetricsFilter().with_namespace("shardmill"))["counters"]
    counts = {counter.key.metric.name: counter.committed for counter in found}
    assert counts == {"images_done": 25, "images_stored": 23, "images_rejected": 2}


def test_write_equal_rows_count_once(
    rows: Rows, expected: dict[str, bytes], tmp_path: Path
) -> None:
    report = write(rows[5:] + rows + rows[:9], tmp_path / "b", **SAME)
    assert content_of(tmp_path / "b") == expected
    assert "29 rows twice; each image is stored once" in report.notes


def test_write_row_without_label_is_a_reject(rows: Rows, tmp_path: Path) -> None:
    write([*rows, *({"key": f"x{it}", "label": it, "image": PICTURE} for it in (None, " "))],
          tmp_path / "b")  # fmt: skip
    rejects = rejects_of(tmp_path / "b")
    assert rejects["xNone"] == rejects["x "] == "no-class"


def test_write_large_image_is_a_reject(rows: Rows, tmp_path: Path) -> None:
    large = PICTURE + bytes(1_000_000)
    write([*rows, {"key": "large", "label": "cat", "image": large}], tmp_path / "b", max_file_mb=1)
    assert rejects_of(tmp_path / "b")["large"] == "too-large"


GOOD = {"key": "a/b.png", "label": "a", "image": PICTURE}


def test_write_invalid_row_is_an_error_that_names_the_key(tmp_path: Path) -> None:
    with pytest.raises(
        Exception, match=r"row a/b.png: the field split of a row is unknown.*/Stage"
    ):
        write([GOOD | {"split": "other"}], tmp_path / "b")
    assert not list(tmp_path.rglob("*"))


@pytest.mark.parametrize(
    ("row", "options", "message"),
    [
        (GOOD | {"label": ["a", "b"]}, {}, "field label of a row is a list.*multi_label=True"),
        (GOOD | {"label": ["a", 1.5]}, {"multi_label": True}, "label of a row is neither text"),
        (GOOD, {"keep_columns": ["age"]}, "a row lacks the field age, which an option names"),
        (GOOD | {"age": [1, 2]}, {"keep_columns": ["age"]}, "column age is neither text nor"),
        (GOOD | {"age": {}}, {"keep_columns": ["age"]}, "column age is neither text nor"),
        (GOOD | {"age": "x" * 9000}, {"keep_columns": "age"}, "too long to be kept"),
        (GOOD, {"target_column": "age"}, "a row lacks the field age, which an option names"),
        (
            GOOD | {"age": "x"},
            {"target_column": "age"},
            "column age is not a finite number.*got x",
        ),
        (GOOD | {"age": float("inf")}, {"target_column": "age"}, "is not a finite number.*got inf"),
    ],
)
def test_write_labels_or_values_that_cannot_be_stored_are_an_error_that_names_the_key(
    tmp_path: Path, row: dict[str, Any], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(Exception, match=f"row a/b.png: .*{message}"):
        write([row], tmp_path / "b", **options)


def test_write_rows_of_one_key_with_different_kept_values_are_an_error(tmp_path: Path) -> None:
    rows = [GOOD | {"age": 1}, GOOD | {"age": 2}]
    with pytest.raises(Exception, match=r"row a/b.png: two rows .*values to keep, got 1 and 2"):
        write(rows, tmp_path / "b", keep_columns=["age"])


def test_write_rows_of_one_key_with_labels_of_equal_text_are_different(tmp_path: Path) -> None:
    rows = [GOOD | {"label": ["a, b"]}, GOOD | {"label": ["a", "b"]}]
    with pytest.raises(Exception, match=r"row a/b.png: two rows .*labels, got a, b and a, b"):
        write(rows, tmp_path / "b", multi_label=True)


def test_write_schema_without_a_field_to_keep_is_refused(tmp_path: Path) -> None:
    row = beam.Row(key="a", label="b", image=b"")
    with pytest.raises(UsageError, match=r"lacks a field, expected key, label, age, and image"):
        beam.Pipeline() | beam.Create([row]) | WriteDataset(tmp_path / "b", keep_columns=["age"])


def test_write_different_rows_of_one_key_are_an_error_that_names_the_key(tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r"row a/b.png: two rows of one key .*labels, got a and c"):
        write([GOOD, GOOD | {"label": "c"}], tmp_path / "b")
    assert not list((tmp_path / "b").rglob("*"))


def test_write_empty_collection_is_an_error_and_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="no rows to write: the PCollection is empty"):
        write([], tmp_path / "b")
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"test": 1.5}, "--test must be a fraction"),
        ({"test": "0.2"}, "argument test: expected"),
        ({"stratify": True}, "--stratify needs --test"),
        ({"shards": 2, "shard_mb": 3}, "--shards and --shard-mb cannot"),
        ({"resize": -1}, "resize"),
        ({"store": "gif"}, "argument store"),
        ({"map": ["cat"]}, "cat"),
        ({"workers": 0}, "--workers must be at least 1"),
        ({"keep_columns": "all"}, "cannot keep all fields of rows; name the fields"),
        ({"target_column": "a/b"}, "the name of a column cannot be the name of a feature"),
        ({"keep_columns": ["a/b"]}, "the name of a column cannot be the name of a feature"),
    ],
)
def test_write_invalid_option_is_refused_when_the_transform_is_made(
    tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises((UsageError, InputNotFoundError), match=message):
        WriteDataset(tmp_path / "b", **options)


def test_write_output_that_is_a_file_is_refused_when_the_transform_is_made(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="the output is a file"):
        WriteDataset(make_file(tmp_path, "data"))


def test_write_schema_without_a_field_is_refused_when_the_pipeline_is_made(tmp_path: Path) -> None:
    row = beam.Row(key="a", label="b")
    with pytest.raises(UsageError, match=r"lacks a field, .*image or uri, got key, label"):
        beam.Pipeline() | beam.Create([row]) | WriteDataset(tmp_path / "b")


def test_write_unbounded_collection_is_refused_when_the_pipeline_is_made(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="bounded"):
        beam.Pipeline() | test_stream.TestStream() | WriteDataset(tmp_path / "b")


def test_write_windowed_rows_are_one_dataset(
    rows: Rows, expected: dict[str, bytes], tmp_path: Path
) -> None:
    with beam.Pipeline() as pipeline:
        (
            pipeline
            | beam.Create(list(enumerate(rows)))
            | beam.Map(lambda pair: beam.window.TimestampedValue(pair[1], pair[0]))
            | beam.WindowInto(beam.window.FixedWindows(3))
            | WriteDataset(tmp_path / "b", **SAME)
        )
    assert content_of(tmp_path / "b") == expected


def test_write_result_is_a_typed_collection(tmp_path: Path) -> None:
    written = beam.Pipeline() | beam.Create([GOOD]) | WriteDataset(tmp_path / "b")
    assert written.element_type is Report


def test_write_records_of_a_dataset_give_an_equal_dataset(
    convert: Convert, source: Path, output: Path, tmp_path: Path
) -> None:
    convert(shards=2)
    to_row = beam.Map(lambda it: beam.Row(key=it.key, label=it.class_name, image=it.image))
    with beam.Pipeline() as pipeline:
        pipeline | ReadRecords(output) | to_row | WriteDataset(tmp_path / "b", shards=2)
    assert content_of(tmp_path / "b") == content_of(output)
    assert not (tmp_path / "b" / layout.WORK_FOLDER).exists()
