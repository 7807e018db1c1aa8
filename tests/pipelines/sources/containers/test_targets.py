"""Numbers to predict in containers, compared with those of lists."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.options import ConvertOptions
from pipelines.report import Report
from pipelines.sources import list_sources
from records.dataset import open_dataset
from records.errors import UsageError
from records.format.columns import Column
from records.format.example import encode_example
from records.format.tfrecord import frame_bytes
from tests.pipelines.conftest import Convert, rejects_of
from tests.pipelines.pictures import content_of, make_file, make_picture
from tests.pipelines.sources.containers.forms import tar_bytes, zip_bytes
from tests.pipelines.sources.lists.shapes import lines

AGES = [31.0, 4.5, None, 100.0, -7.0, 0.1, 62.0, 62.0, 18.0]
KINDS = ["ab"[number % 2] for number in range(len(AGES))]
IMAGES = {f"{number:02}.png": make_picture(number) for number in range(len(AGES))}
OPTIONS: dict[str, Any] = {"test": 0.3, "shards": 2, "target_column": "age"}


def parquet(*, paths: bool = True, **columns: Any) -> bytes:
    image = [
        {"bytes": content, **({"path": key} if paths else {})} for key, content in IMAGES.items()
    ]
    sink = io.BytesIO()
    pq.write_table(pa.table({"image": image, **columns}), sink)
    return sink.getvalue()


def shard(mode: str = "w", class_file: str | None = None, **columns: list[Any]) -> bytes:
    files = []
    for number, (key, content) in enumerate(IMAGES.items()):
        fields = {name: values[number] for name, values in columns.items()}
        files += [(key, content), (key.replace("png", "json"), json.dumps(fields).encode())]
        if class_file is not None:
            files.append((key.replace("png", "cls"), columns[class_file][number].encode()))
    return tar_bytes(files, mode)


def records(**columns: list[Any]) -> bytes:
    def values(value: object) -> list[Any]:
        return [] if value is None else [value.encode() if isinstance(value, str) else value]

    features = (
        {"image": [content], "key": [key.encode()]}
        | {name: values(cells[number]) for name, cells in columns.items()}
        for number, (key, content) in enumerate(IMAGES.items())
    )
    return b"".join(frame_bytes(encode_example(it)) for it in features)


FORMS: dict[str, tuple[str, Callable[..., bytes]]] = {
    "parquet": ("a.parquet", parquet),
    "parquet of float32": (
        "a.parquet",
        lambda **columns: parquet(**{**columns, "age": pa.array(columns["age"], pa.float32())}),
    ),
    "parquet of texts": (
        "a.parquet",
        lambda **columns: parquet(
            **{**columns, "age": [None if age is None else f" {age}" for age in AGES]}
        ),
    ),
    "shard": ("a.tar", shard),
    "records": ("a.tfrecord", records),
    "compressed records": ("a.tfrecord.gz", lambda **columns: gzip.compress(records(**columns))),
    "compressed shard": ("a.tgz", lambda **columns: shard("w:gz", **columns)),
}
each_form = pytest.mark.parametrize("form", FORMS)


@pytest.fixture
def compare(convert: Convert, tmp_path: Path, output: Path) -> Callable[..., Report]:
    """Return a function that checks that a container gives the bytes of a folder with a list."""

    def compare_now(
        name: str, content: bytes, columns: dict[str, list[Any]], /, **options: Any
    ) -> Report:
        folder, expected = tmp_path / "folder", tmp_path / "expected"
        rows = [
            {"path": make_file(folder, key, content).name}
            | {name: values[number] for name, values in columns.items()}
            for number, (key, content) in enumerate(IMAGES.items())
        ]
        path = make_file(tmp_path, "list.jsonl", lines(*rows))
        given = {**OPTIONS, **options}
        convert(**given, source=str(folder), list=str(path), output=str(expected))
        source = make_file(tmp_path, name, content)
        report = convert(**given, source=str(source))
        assert content_of(output) == content_of(expected)
        return report

    return compare_now


@each_form
@pytest.mark.parametrize("label_column", [None, "none"])
def test_container_with_a_target_and_no_labels_gives_bytes_of_list(
    compare: Callable[..., Report], output: Path, form: str, label_column: str | None
) -> None:
    name, make = FORMS[form]
    report = compare(name, make(age=AGES), {"age": AGES}, label_column=label_column)
    assert "no labels; targets from column `age`; keeps 1 column: age" in str(report.understood)
    assert any("1 image without a value in the target column age" in it for it in report.notes)
    dataset = open_dataset(output)
    assert (dataset.labels, dataset.columns) == (("image",), (Column("age", "float32"),))


@each_form
def test_container_with_a_target_and_labels_gives_bytes_of_list(
    compare: Callable[..., Report], output: Path, form: str
) -> None:
    name, make = FORMS[form]
    columns: dict[str, Any] = {"age": AGES, "label": KINDS}
    compare(name, make(**columns), columns)
    assert open_dataset(output).labels == ("a", "b")


@each_form
def test_container_with_label_column_none_ignores_its_labels(
    compare: Callable[..., Report], form: str
) -> None:
    name, make = FORMS[form]
    columns: dict[str, Any] = {"age": AGES, "label": KINDS}
    options = {"label_column": "none", "keep_columns": "age", "target_column": None}
    compare(name, make(**columns), columns, **options)


@pytest.mark.parametrize("name", ["label", "target"])
@each_form
def test_target_with_the_name_of_a_label_column_is_no_label(
    convert: Convert, output: Path, tmp_path: Path, form: str, name: str
) -> None:
    if "parquet of" in form:
        return
    file, make = FORMS[form]
    ages = [3, 4, 5, 6, 7, 8, 9, 10, 11]
    source = make_file(tmp_path, file, make(**{name: ages}))
    convert(source=str(source), target_column=name)
    assert open_dataset(output).labels == ("image",)
    assert open_dataset(output).columns == (Column(name, "float32"),)


def test_shard_with_class_files_and_a_target_has_their_classes(
    convert: Convert, output: Path, tmp_path: Path
) -> None:
    source = make_file(tmp_path, "a.tar", shard(class_file="kind", age=AGES, kind=KINDS))
    convert(**OPTIONS, source=str(source))
    records = {it.key: it for split in open_dataset(output).values() for it in split}
    assert {key: it.class_name for key, it in records.items()} == dict(
        zip(IMAGES, KINDS, strict=True)
    )
    assert records["01.png"].columns == {"age": 4.5}


def test_parquet_without_paths_and_labels_has_targets(
    convert: Convert, output: Path, tmp_path: Path
) -> None:
    source = make_file(tmp_path, "a.parquet", parquet(paths=False, age=AGES))
    convert(**OPTIONS, source=str(source))
    records = {it.key: it for split in open_dataset(output).values() for it in split}
    assert records["a/00000004.png"].columns == {"age": -7.0}
    assert len(records) == len(AGES)


@each_form
def test_append_of_a_container_with_a_target_adds_its_new_images(
    convert: Convert, output: Path, tmp_path: Path, form: str
) -> None:
    name, make = FORMS[form]
    source = make_file(tmp_path, name, make(age=AGES))
    exclude = make_file(tmp_path, "exclude.txt", b"03.png\n")
    convert(**OPTIONS, source=str(source), exclude=str(exclude))
    report = convert(source=str(source), append=True, target_column="age")
    assert report.counts.stored == 1
    records = {it.key: it for split in open_dataset(output).values() for it in split}
    assert records["03.png"].columns == {"age": 100.0}


@pytest.mark.parametrize(
    ("name", "content", "options", "message"),
    [
        ("a.parquet", parquet(age=["1"] * 8 + ["1,5"]), {},
         r"a\.parquet: 08\.png: a value of the target column age is not a finite.*got 1,5"),
        ("a.parquet", parquet(age=[float("inf")] * 9), {}, r"00\.png: .*finite number.*got inf"),
        ("a.parquet", parquet(age=[None] * 9, x=AGES), {}, r"no image has a value in the target"),
        ("a.parquet", parquet(age=[b"1"] * 9, x=AGES), {},
         r"--target-column names a column of the Parquet file that does not hold .*expected x"),
        ("a.parquet", parquet(age=pa.array([None] * 9, pa.float64())), {},
         r"no image has a value in the target column age; name the column"),
        ("a.parquet", parquet(years=AGES), {},
         r"--target-column is not a column of the Parquet file, expected years, got age"),
        ("a.parquet", parquet(age=[[1.0, 2.0]] * 9), {}, r"00\.png: a value of the column age is"),
        ("a.parquet", parquet(age=AGES), {"target_column": None}, r"no classes.*--target-column"),
        ("a.tar", shard(years=AGES), {},
         r"--target-column is not a column of the containers, got age; pass --keep-columns all"),
        ("a.tar", shard(age=[*AGES[1:], {}]), {}, r"a\.tar: 08\.png: a value of the column age"),
        ("a.tar", shard(age=[*AGES[1:], "x"]), {}, r"a\.tar: 08\.png: .*finite number.*got x;"),
        ("a.tfrecord", records(years=AGES), {}, r"--target-column is not a column"),
        ("a.tfrecord", records(age=["x"] * 9), {}, r"a\.tfrecord: 00\.png: .*finite number.*got x"),
        ("a.tfrecord", records(**{"a/age": AGES, "b/age": AGES}), {},
         r"several features can be the column age, got a/age, b/age; list the values"),
        ("a.tfrecord", records(**{"a/age": AGES}), {"target_column": "a/age"},
         r"by the last part of the name of a feature.*pass --target-column age"),
        ("a.zip", zip_bytes([("a/1.png", make_picture(1))]), {}, r"needs a list.*--target-column"),
    ],
)  # fmt: skip
def test_container_whose_target_is_not_usable_is_an_error_that_names_the_option(
    tmp_path: Path, name: str, content: bytes, options: dict[str, Any], message: str
) -> None:
    path = make_file(tmp_path, name, content)
    with pytest.raises(UsageError, match=message):
        list_sources(ConvertOptions(**{"source": str(path), "output": "", "target_column": "age"}
                                    | options))  # fmt: skip


def test_target_leaves_a_class_label_outside_the_names_a_reject(
    convert: Convert, output: Path, tmp_path: Path
) -> None:
    features = {"label": {"_type": "ClassLabel", "names": ["a", "b"]}}
    content = pq.read_table(io.BytesIO(parquet(age=AGES, label=[0, 1, -1, 2, 0, 1, 0, 1, 0])))
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    pq.write_table(content.replace_schema_metadata(metadata), tmp_path / "a.parquet")
    convert(**OPTIONS, source=str(tmp_path / "a.parquet"))
    assert rejects_of(output) == {"02.png": "no-class", "03.png": "no-class"}
