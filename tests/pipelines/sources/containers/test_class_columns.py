"""Columns of classes in Parquet files with images."""

from __future__ import annotations

import datetime
import io
import json
import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.options import ConvertOptions
from pipelines.sources import Sources, list_sources
from records.dataset import open_dataset
from records.errors import UsageError
from tests.pipelines.conftest import Convert, rejects_of
from tests.pipelines.pictures import PICTURE, content_of, make_file, make_picture
from tests.pipelines.sources.containers.forms import tar_bytes
from tests.pipelines.sources.lists.shapes import lines

CLASSES: dict[str, list[int]] = {
    "zoo": [1, 0, 0, 1, 0, 1, 0],
    "beach": [1, 1, 0, 0, 0, 1, 0],
    "rain, sun": [0, 0, 0, 1, 0, 1, 0],
}
AGES = [1, 0, 2, 1, 0, 1, 7]
IMAGES = {f"{number:02}.png": make_picture(number) for number in range(len(AGES))}
OPTIONS: dict[str, Any] = {"test": 2, "shards": 2, "multi_label": True}


def parquet(rows: slice = slice(None), /, **columns: Any) -> bytes:
    image = [{"bytes": content, "path": key} for key, content in [*IMAGES.items()][rows]]
    sink = io.BytesIO()
    table = pa.table({"image": image} | {name: values[rows] for name, values in columns.items()})
    pq.write_table(table, sink, row_group_size=3)
    return sink.getvalue()


def with_none(values: list[int]) -> list[float | None]:
    return [float(value) if value else None for value in values]


FORMS: dict[str, dict[str, Any]] = {
    "integers": {**CLASSES},
    "booleans": {name: [*map(bool, values)] for name, values in CLASSES.items()},
    "small integers": {name: pa.array(values, pa.int8()) for name, values in CLASSES.items()},
    "floats": {name: with_none(values) for name, values in CLASSES.items()},
    "texts": {
        name: pa.array([*map(str, values)]).dictionary_encode() for name, values in CLASSES.items()
    },
    "views of texts": {
        name: pa.array([*map(str, values)], pa.string_view()) for name, values in CLASSES.items()
    },
    "minus one": {name: [value or -1 for value in values] for name, values in CLASSES.items()},
}


def expected(convert: Convert, folder: Path, **options: Any) -> dict[str, bytes]:
    """Return the files of the conversion of a folder with a list."""
    for key, content in IMAGES.items():
        make_file(folder / "photos", key, content)
    rows = [
        {"path": key, "age": AGES[number], **{name: it[number] for name, it in CLASSES.items()}}
        for number, key in enumerate(IMAGES)
    ]
    path = make_file(folder, "list.jsonl", lines(*rows))
    output = folder / "expected"
    given = {"source": str(folder / "photos"), "list": str(path), "output": str(output)}
    convert(**{**OPTIONS, **options}, **given)
    return content_of(output)


def listed(path: Path, **options: Any) -> Sources:
    return list_sources(ConvertOptions(source=str(path), output="", **options))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("options", [{}, {"keep_columns": "all"}], ids=["", "kept"])
def test_parquet_with_class_columns_gives_bytes_of_list(
    convert: Convert, output: Path, tmp_path: Path, form: str, options: dict[str, Any]
) -> None:
    source = make_file(tmp_path, "a.parquet", parquet(**FORMS[form], age=AGES))
    report = convert(**OPTIONS, **options, source=str(source))
    assert content_of(output) == expected(convert, tmp_path, **options)
    assert "from 3 multi-hot columns: zoo, beach, rain, sun" in str(report.understood)


@pytest.mark.parametrize("form", FORMS)
def test_parquet_with_named_class_columns_gives_bytes_of_list(
    convert: Convert, output: Path, tmp_path: Path, form: str
) -> None:
    options = {"label_column": "beach, zoo"}
    source = make_file(tmp_path, "a.parquet", parquet(**FORMS[form], age=AGES))
    convert(**OPTIONS, **options, source=str(source))
    assert content_of(output) == expected(convert, tmp_path, **options)


def test_several_parquet_files_with_class_columns_give_bytes_of_list(
    convert: Convert, output: Path, tmp_path: Path
) -> None:
    """One file has no label at all, and another only zeros in one column."""
    for number, rows in enumerate((slice(2, 3), slice(0, 2), slice(3, None))):
        make_file(tmp_path / "d", f"{number}.parquet", parquet(rows, **CLASSES))
    convert(**OPTIONS, source=str(tmp_path / "d"))
    # The list has a further column, which is not binary.
    assert content_of(output) == expected(convert, tmp_path)


def test_parquet_with_one_hot_columns_has_one_label_per_image(tmp_path: Path) -> None:
    columns = {"a": [1, 0, 0, 1, 1, 0, 0], "b": [0, 1, 1, 0, 0, 1, 1]}
    path = make_file(tmp_path, "a.parquet", parquet(**columns))
    found = listed(path, label_column="a,b")
    assert {it.key: found.labels[it.label] for it in found.images}[b"03.png"] == "a"
    assert found.understood == (
        "1 Parquet file with 7 images in 2 classes; labels from 2 one-hot columns: a, b"
    )


def test_parquet_with_class_columns_ignores_columns_with_another_use(tmp_path: Path) -> None:
    """As in a list: splits, groups, the index of pandas and columns that are kept by name."""
    zeros = dict.fromkeys(("Unnamed: 0", "patient", "set", "flag"), CLASSES["zoo"])
    path = make_file(tmp_path, "a.parquet", parquet(**zeros, **CLASSES))
    found = listed(path, multi_label=True, keep_columns="flag")
    assert set(found.labels) == set(CLASSES)
    assert [column.name for column in found.columns or ()] == ["flag"]


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        ({"zoo": CLASSES["zoo"], "age": AGES}, {}, None),
        ({"zoo": CLASSES["zoo"], "x": [0.5] * 7, "y": [[1]] * 7}, {}, None),
        (CLASSES, {"target_column": "zoo"}, None),
        ({"a": [0] * 7, "b": [0] * 7}, {}, "give no image a class"),
        (CLASSES, {"label_column": "zoo,cat"},
         r"--label-column is not a column of the Parquet file, expected image.*got cat"),
        (CLASSES | {"x": [[1]] * 7}, {"label_column": "zoo,x"}, r"holds neither .*got x"),
        (CLASSES | {"age": AGES}, {"label_column": "zoo,age"},
         r"a\.parquet row 3: a value of the one-hot column age is not 0 or 1, got 2"),
        (CLASSES, {"label_column": "zoo,beach", "multi_label": False},
         r"a\.parquet: 00\.png: a row has several labels.*got zoo, beach; pass --multi-label"),
    ],
)  # fmt: skip
def test_parquet_without_columns_of_zeros_and_ones_has_no_labels_by_itself(
    tmp_path: Path, columns: dict[str, Any], options: dict[str, Any], message: str | None
) -> None:
    path = make_file(tmp_path, "a.parquet", parquet(**columns))
    options = {"multi_label": True} | options
    if message is None and "target_column" in options:
        assert listed(path, **options).labels == ("image",)
        return
    with pytest.raises(UsageError, match=message):
        listed(path, **options)


def test_parquet_files_with_different_class_columns_are_one_error(tmp_path: Path) -> None:
    """The age is 0 or 1 in one file by chance."""
    make_file(tmp_path / "d", "0.parquet", parquet(slice(0, 3), **CLASSES, age=AGES))
    make_file(tmp_path / "d", "1.parquet", parquet(slice(3, 6), **CLASSES, age=AGES))
    with pytest.raises(
        UsageError, match=r"1\.parquet: .*different columns of classes.*got zoo.*age; name"
    ):
        listed(tmp_path / "d", multi_label=True)
    found = listed(tmp_path / "d", multi_label=True, label_column="zoo,beach")
    assert set(found.labels) == {"zoo", "beach"}


def test_parquet_files_may_have_class_columns_in_any_order(tmp_path: Path) -> None:
    make_file(tmp_path / "d", "0.parquet", parquet(slice(0, 3), **CLASSES))
    swapped = dict(reversed(CLASSES.items()))
    make_file(tmp_path / "d", "1.parquet", parquet(slice(3, 7), **swapped))
    found = listed(tmp_path / "d", multi_label=True)
    assert set(found.labels) == CLASSES.keys()
    assert len(found.images) + len(found.rejects) == 7


@given(
    rows=st.lists(
        st.tuples(
            *[st.sampled_from([0, 1, 1.0, 0.0, -1, None, True, False])] * 2, st.integers(0, 2)
        ),
        min_size=1,
        max_size=5,
    )
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_any_class_columns_of_a_parquet_file_are_those_of_a_list(
    tmp_path: Path, rows: list[tuple[Any, Any, int]]
) -> None:
    def outcome(source: Path, **options: Any) -> object:
        try:
            found = listed(source, multi_label=True, **options)
        except UsageError:
            return "error"
        return found.labels, sorted((it.key, it.labels) for it in found.images)

    keys = [f"{number}.png" for number in range(len(rows))]
    for key in keys:
        make_file(tmp_path / "photos", key, PICTURE)
    names = ("first", "second", "third")
    objects = [dict(zip(names, row, strict=True)) for row in rows]
    path = make_file(
        tmp_path, "a.jsonl", lines(*({"path": k} | it for k, it in zip(keys, objects, strict=True)))
    )
    columns = {
        name: pa.array([it[name] if it[name] is None else float(it[name]) for it in objects],
                       pa.float64())
        for name in names
    }  # fmt: skip
    sink = io.BytesIO()
    image = [{"bytes": PICTURE, "path": key} for key in keys]
    pq.write_table(pa.table({"image": image, **columns}), sink)
    source = make_file(tmp_path, "a.parquet", sink.getvalue())
    assert outcome(source) == outcome(tmp_path / "photos", list=str(path))


def test_list_class_number_outside_the_declared_names_is_a_reject(
    convert: Convert, output: Path, tmp_path: Path
) -> None:
    label = {"_type": "Sequence", "feature": {"_type": "ClassLabel", "names": ["a", "b"]}}
    content = pq.read_table(
        io.BytesIO(parquet(tags=[[0], [1, 2], [-1], [], [0, 1], [1], [0]]))
    ).replace_schema_metadata({"huggingface": json.dumps({"info": {"features": {"tags": label}}})})
    pq.write_table(content, tmp_path / "a.parquet")
    exclude = make_file(tmp_path, "exclude.txt", b"02.png\n")
    report = convert(**OPTIONS, source=str(tmp_path / "a.parquet"), exclude=str(exclude))
    assert rejects_of(output) == {"01.png": "no-class"}
    assert (report.counts.stored, report.counts.excluded) == (5, 1)
    text = (output / "rejects.jsonl").read_text()
    assert "its class number is 2, and the metadata declare 2 classes, from 0" in text


def test_keep_all_leaves_lists_and_objects_out_with_a_note(
    convert: Convert, output: Path, tmp_path: Path
) -> None:
    fields = {"tags": ["a", "b"], "pose": {"x": 1}, "age": 4, "one": ["x"], "boxes": [0] * 9000}
    files = [("0.png", PICTURE), ("0.cls", b"x"), ("0.json", json.dumps(fields).encode())]
    files += [("1.png", make_picture(1)), ("1.cls", b"y"), ("1.json", b'{"tags": "c"}')]
    make_file(tmp_path / "d", "a.tar", tar_bytes(files))
    report = convert(source=str(tmp_path / "d"), keep_columns="all")
    assert [column.name for column in open_dataset(output).columns] == ["age", "one"]
    note = "columns without texts, numbers or booleans, which are not kept: tags, pose, boxes"
    assert note in report.notes


def test_keep_all_leaves_lists_of_parquet_out_with_a_note(tmp_path: Path) -> None:
    boxes = [[0.5] * 2000] * 7
    path = make_file(tmp_path, "a.parquet", parquet(label=["x"] * 7, boxes=boxes, age=AGES))
    found = listed(path, keep_columns="all")
    assert [column.name for column in found.columns or ()] == ["age"]
    assert any(note.endswith("not kept: boxes") for note in found.notes)
    with pytest.raises(UsageError, match="column boxes is neither text nor"):
        listed(path, keep_columns="boxes")


def test_keep_all_leaves_other_types_of_parquet_out_with_a_note(tmp_path: Path) -> None:
    day = datetime.date(2026, 1, 1)
    values = {
        "day": day, "time": datetime.datetime(2026, 1, 1), "price": Decimal("1.5"),
        "pose": {"x": 1}, "raw": b"a", "days": [day, day],
    }  # fmt: skip
    others = {name: [value] * 7 for name, value in values.items()}
    path = make_file(tmp_path, "a.parquet", parquet(label=["x"] * 7, age=AGES, **others))
    found = listed(path, keep_columns="all")
    assert [column.name for column in found.columns or ()] == ["age"]
    (note,) = (note for note in found.notes if "not kept" in note)
    assert note.endswith(f": {', '.join(others)}")


@pytest.mark.parametrize("options", [{"keep_columns": "all"}, {"target_column": "age"}])
def test_parquet_column_without_values_in_one_file_is_kept(
    convert: Convert, output: Path, tmp_path: Path, options: dict[str, str]
) -> None:
    """Pandas gives such a column the type null in this file."""
    for name, rows, ages in (("0", slice(0, 4), [40.5] * 7), ("1", slice(4, 7), pa.nulls(7))):
        content = parquet(rows, label=["x"] * 7, age=ages)
        make_file(tmp_path / "d", f"{name}.parquet", content)
    convert(source=str(tmp_path / "d"), **options)
    found = {record.key: record.columns["age"] for record in open_dataset(output)["train"]}
    assert [math.isnan(float(found[key])) for key in sorted(found)] == [False] * 4 + [True] * 3


def test_parquet_labels_that_are_views_of_texts_are_read_with_a_target(tmp_path: Path) -> None:
    label = pa.array([*"abcabca"], pa.string_view())
    path = make_file(tmp_path, "a.parquet", parquet(label=label, age=AGES))
    assert listed(path, target_column="age").labels == ("a", "b", "c")


def test_parquet_class_columns_of_many_rows_are_read_in_batches(tmp_path: Path) -> None:
    count = 3000
    bits = np.random.default_rng(0).integers(0, 2, (3, count))
    columns = dict(zip("abc", bits.tolist(), strict=True))
    sink = io.BytesIO()
    pq.write_table(pa.table({"image": [PICTURE] * count, **columns}), sink)
    found = listed(make_file(tmp_path, "x.parquet", sink.getvalue()), multi_label=True)
    labels = [{found.labels[label] for label in it.all_labels} for it in found.images]
    assert labels == [{name for name in "abc" if columns[name][n]} for n in range(count)]


def test_parquet_with_two_columns_of_labels_is_unpacked_with_the_named_one(
    convert: Convert, output: Path, tmp_path: Path
) -> None:
    source = make_file(
        tmp_path, "a.parquet", parquet(**{"class": [*"abababa"], "category": [*"xxxyyyy"]})
    )
    convert(source=str(source), label_column="category")
    assert open_dataset(output).labels == ("x", "y")


def test_parquet_of_thousands_of_class_columns_is_read(tmp_path: Path) -> None:
    columns = {f"c{number}": [0, 1, 0, 1, 0, 1, 1] for number in range(800)}
    found = listed(make_file(tmp_path, "a.parquet", parquet(**columns)), multi_label=True)
    assert [len(image.all_labels) for image in found.images] == [0, 800, 0, 800, 0, 800, 800]
