"""Several labels, and further columns and fields, of WebDataset shards and Parquet files."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.options import ConvertOptions
from pipelines.sources import Sources, list_sources
from records.dataset import open_dataset
from records.errors import CorruptDataError, UsageError
from records.format.columns import unpack_values
from records.format.example import encode_example
from records.format.tfrecord import frame_bytes
from records.untrusted_parquet import page_sizes
from tests.pipelines.conftest import Convert
from tests.pipelines.pictures import PICTURE, content_of, make_file, make_picture
from tests.pipelines.sources.containers.forms import tar_bytes
from tests.pipelines.sources.lists.shapes import lines, parquet

NAMES = ["beach", "rain, sun", "zoo"]


class Sample(NamedTuple):
    key: str
    tags: list[str]
    age: int | None
    site: str
    score: float


SAMPLES = [
    Sample("00.png", ["beach", "zoo"], 4, "north", 0.5),
    Sample("01.png", [], None, "", 1.25),
    Sample("02.png", ["zoo"], 70, "007", -3.5),
    Sample("03.png", ["rain, sun", "beach", "zoo"], 12, "süd", 1e-3),
    Sample("04.png", ["zoo", "zoo"], 4, "north", 2.0),
    Sample("05.png", ["beach"], 5, "north", 0.1),
]
IMAGES = {sample.key: make_picture(number) for number, sample in enumerate(SAMPLES)}
COLUMNS = ("age", "site", "score")
OPTIONS: dict[str, Any] = {"test": 2, "shards": 2}


def fields_of(sample: Sample) -> dict[str, Any]:
    return {"age": sample.age, "site": sample.site, "score": sample.score}


def shard(parts: Callable[[Sample], dict[str, bytes]], mode: str = "w") -> bytes:
    """Return a shard; the parts of each sample are in the order of their extensions."""
    files = [
        (f"{sample.key[:-4]}.{extension}", content)
        for sample in SAMPLES
        for extension, content in ({"png": IMAGES[sample.key]} | parts(sample)).items()
    ]
    return tar_bytes(files, mode)


def as_json(sample: Sample, **fields: Any) -> bytes:
    return json.dumps(fields_of(sample) | fields).encode()


def table_bytes(tags: Sequence[object], *, metadata: object = None, **columns: Any) -> bytes:
    found: dict[str, Any] = {
        "image": [{"bytes": IMAGES[sample.key], "path": sample.key} for sample in SAMPLES],
        "tags": tags,
        "age": [sample.age for sample in SAMPLES],
        "site": pa.array([sample.site or None for sample in SAMPLES]).dictionary_encode(),
        "score": pa.array([sample.score for sample in SAMPLES], pa.float32()),
    }
    if metadata is not None:
        found["classes"] = found.pop("tags")
    content = pa.table(found | columns)
    if metadata is not None:
        features = json.dumps({"info": {"features": {"classes": metadata}}})
        content = content.replace_schema_metadata({"huggingface": features})
    stream = io.BytesIO()
    pq.write_table(content, stream)
    return stream.getvalue()


def records(label: Callable[[Sample], dict[str, Any]], prefix: str = "") -> bytes:
    """Return a TFRecord file; a value that is missing is a feature without values, or absent."""
    examples = []
    for sample in SAMPLES:
        features: dict[str, Any] = {
            "image/encoded": [IMAGES[sample.key]],
            "image/filename": [sample.key.encode()],
            f"{prefix}age": [] if sample.age is None else [sample.age],
            f"{prefix}score": [sample.score],
            **({f"{prefix}site": [sample.site.encode()]} if sample.site else {}),
        }
        examples.append(frame_bytes(encode_example(features | label(sample))))
    return b"".join(examples)


def texts_of(sample: Sample) -> dict[str, Any]:
    numbers = [NAMES.index(tag) for tag in sample.tags]
    texts = [tag.encode() for tag in sample.tags]
    return {"image/class/text": texts, "image/class/label": numbers}


NUMBERS = [[NAMES.index(tag) for tag in sample.tags] for sample in SAMPLES]
CLASS_LABEL = {"_type": "ClassLabel", "names": NAMES}
BY_NAME: dict[str, Any] = {"label_column": "tags", "multi_label": True}
FORMS: dict[str, tuple[str, bytes, dict[str, Any]]] = {
    "json list": ("a.tar", shard(lambda it: {"json": as_json(it, tags=it.tags)}), BY_NAME),
    "json list, compressed": (
        "a.tgz",
        shard(lambda it: {"json": as_json(it, tags=it.tags)}, "w:gz"),
        BY_NAME,
    ),
    "json list of a known name": (
        "a.tar",
        shard(lambda it: {"json": as_json(it, labels=0, label=it.tags)}),
        {"multi_label": True},
    ),
    "json text": (
        "a.tar",
        shard(lambda it: {"json": as_json(it, tags=" | ".join(it.tags))}),
        {"label_column": "tags", "label_separator": "|"},
    ),
    "lines of cls": (
        "a.tar",
        shard(lambda it: {"cls": "\n".join(it.tags).encode(), "json": as_json(it, label=7)}),
        {"multi_label": True},
    ),
    "line of txt": (
        "a.tar",
        shard(lambda it: {"json": as_json(it), "txt": "|".join(it.tags).encode()}),
        {"label_separator": "|"},
    ),
    "parquet list": ("a.parquet", table_bytes([it.tags for it in SAMPLES]), BY_NAME),
    "parquet text": (
        "a.parquet",
        table_bytes(["|".join(it.tags) for it in SAMPLES]),
        {"label_column": "tags", "label_separator": "|"},
    ),
    "parquet classes": (
        "a.parquet",
        table_bytes(NUMBERS, metadata={"_type": "Sequence", "feature": CLASS_LABEL}),
        {"multi_label": True},
    ),
    "parquet classes in a list": (
        "a.parquet",
        table_bytes(NUMBERS, metadata=[CLASS_LABEL], label=["x"] * len(SAMPLES)),
        {"multi_label": True},
    ),
    "records with texts and numbers": ("a.tfrecord", records(texts_of), {"multi_label": True}),
    "records, compressed": (
        "a.tfrecord.gz",
        gzip.compress(records(texts_of, "column/")),
        {"multi_label": True},
    ),
    "records with a text": (
        "a.tfrecord",
        records(lambda it: {"image/class/text": ["|".join(it.tags).encode()]}, "image/"),
        {"label_separator": "|"},
    ),
    "records with a named feature": (
        "a.tfrecord",
        records(lambda it: {"x/tags": [tag.encode() for tag in it.tags], "image/class/label": [7]}),
        {"multi_label": True, "label_column": "x/tags"},
    ),
    "parquet classes of datasets 4": (
        "a.parquet",
        table_bytes(NUMBERS, metadata={"_type": "List", "feature": CLASS_LABEL, "length": -1}),
        {"multi_label": True},
    ),
}


@pytest.fixture
def expected(convert: Convert, tmp_path: Path) -> dict[str, bytes]:
    """Return the files of the conversion of a folder with a list."""
    folder, output = tmp_path / "folder", tmp_path / "expected"
    for key, content in IMAGES.items():
        make_file(folder, key, content)
    rows = ({"path": it.key, "tags": it.tags, **fields_of(it)} for it in SAMPLES)
    path = make_file(tmp_path, "list.jsonl", lines(*rows))
    options = {"source": str(folder), "list": str(path), "output": str(output), **OPTIONS}
    convert(**options, multi_label=True, keep_columns=",".join(COLUMNS))
    return content_of(output)


@pytest.mark.parametrize("form", FORMS)
def test_container_with_labels_and_columns_gives_bytes_of_folder_with_list(
    convert: Convert, output: Path, tmp_path: Path, expected: dict[str, bytes], form: str
) -> None:
    name, content, options = FORMS[form]
    path = make_file(tmp_path, name, content)
    given = {"source": str(path), **OPTIONS, **options}
    report = convert(**given, keep_columns=COLUMNS)
    assert content_of(output) == expected
    assert report.understood is not None
    assert "any number of labels per image; keeps 3 columns: " in report.understood
    types = [(column.name, column.type) for column in open_dataset(output).columns]
    assert types == [("age", "float32"), ("score", "float32"), ("site", "string")]


@pytest.mark.parametrize(
    "form", ["json list", "parquet list", "records with texts and numbers", "records, compressed"]
)
def test_container_keeps_all_columns_without_another_use(
    convert: Convert, output: Path, tmp_path: Path, expected: dict[str, bytes], form: str
) -> None:
    name, content, options = FORMS[form]
    path = make_file(tmp_path, name, content)
    convert(source=str(path), keep_columns="all", **OPTIONS, **options)
    assert content_of(output) == expected


@pytest.mark.parametrize("form", ["json list", "parquet classes", "records, compressed"])
def test_append_of_containers_keeps_columns_and_labels(
    convert: Convert, output: Path, tmp_path: Path, form: str
) -> None:
    name, content, options = FORMS[form]
    path = make_file(tmp_path, name, content)
    exclude = make_file(tmp_path, "exclude.txt", b"03.png\n")
    given = {"source": str(path), **OPTIONS, **options, "append": True}
    convert(**given, keep_columns=COLUMNS, exclude=str(exclude))
    convert(source=str(path), append=True, label_column=options.get("label_column"))
    records = {it.key: it for split in open_dataset(output).values() for it in split}
    assert set(records["03.png"].class_names) == set(NAMES)
    assert records["03.png"].columns == {"age": 12, "score": np.float32(1e-3), "site": "süd"}
    assert len(records) == len(SAMPLES)


def listed(path: Path, content: bytes, **options: Any) -> Sources:
    path.write_bytes(content)
    return list_sources(ConvertOptions(source=str(path), output="", **options))


def labels_of(sources: Sources) -> dict[str, set[str]]:
    return {
        image.key.decode(): {sources.labels[label] for label in image.all_labels}
        for image in sources.images
    }


ONE_EACH = tar_bytes(
    [
        ("a/1.png", PICTURE), ("a/1.json", b'{"kind": "x", "age": 3, "label": "other"}'),
        ("a/1.cls", b"wrong"),
        ("a/2.png", PICTURE), ("a/2.json", b'{"kind": 7.0}'),
        ("a/3.png", PICTURE),
        ("annotations.json", b"[" + b"1," * 200_000 + b"1]"),
    ]
)  # fmt: skip


def test_webdataset_named_field_is_the_label_in_folders_and_next_to_a_class_file(
    tmp_path: Path,
) -> None:
    found = listed(tmp_path / "a.tar", ONE_EACH, label_column="kind", keep_columns="all")
    assert labels_of(found) == {"a/1.png": {"x"}, "a/2.png": {"7"}}
    assert [reject.reason for reject in found.rejects] == ["no-class"]
    assert [column.name for column in found.columns or ()] == ["age", "label"]
    values = [unpack_values(it.columns) for it in found.images if it.columns is not None]
    assert values[0] == [3.0, "other"]


def test_webdataset_field_of_a_sample_with_a_class_file_is_kept(tmp_path: Path) -> None:
    content = shard(lambda it: {"json": b'{"label": 5, "age": 3}', "cls": b"x"})
    found = listed(tmp_path / "a.tar", content, keep_columns="all")
    assert [column.name for column in found.columns or ()] == ["age", "label"]


def test_webdataset_text_of_many_labels_is_not_too_long(tmp_path: Path) -> None:
    labels = [f"label {number}" for number in range(100)]
    content = shard(lambda it: {"json": json.dumps({"label": "|".join(labels)}).encode()})
    found = listed(tmp_path / "a.tar", content, label_separator="|")
    assert set(found.labels) == set(labels)


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ('{"labels": ["a", "b"]}', {"a", "b"}),
        ('{"label": 1.0}', {"1"}),
        ('{"label": [1.0, "b"]}', {"1", "b"}),
        ('{"other": 1}', set()),
        ('{"label": "a", "mask": "%s"}' % ("x" * 200_000), {"a"}),
        ('{"label": "a", "x": NaN}', None),
        ('{"label": "a", "label": "b"}', None),
        ('{"label": [{"id": 1}]}', None),
        ('{"label": ' + "[" * 500 + "1" + "]" * 500 + "}", None),
    ],
)
def test_webdataset_json_without_readable_labels_is_an_error_with_several_labels(
    convert: Convert, output: Path, tmp_path: Path, text: str, labels: set[str] | None
) -> None:
    files = [("0.png", PICTURE), ("0.json", text.encode()), ("1.png", make_picture(1))]
    source = make_file(tmp_path, "a.tar", tar_bytes([*files, ("1.json", b'{"label": ["c"]}')]))
    options: dict[str, Any] = {"source": str(source), "multi_label": True}
    if labels is None:
        with pytest.raises(UsageError, match=r"a\.tar: 0\.json"):
            convert(**options)
        return
    convert(**options)
    dataset = open_dataset(output)
    found = {record.key: record for record in dataset["train"]}["0.png"]
    assert {dataset.labels[label] for label in found.labels} == labels


def test_webdataset_unreadable_json_next_to_a_class_file_is_no_error(
    convert: Convert, output: Path, tmp_path: Path
) -> None:
    files = [("0.png", PICTURE), ("0.cls", b"a"), ("0.json", b'{"label": NaN}')]
    source = make_file(tmp_path, "a.tar", tar_bytes(files))
    convert(source=str(source), multi_label=True)
    (record,) = open_dataset(output)["train"]
    assert record.class_names == ("a",)


@pytest.mark.parametrize("name", ["image.bytes", "image.path"])
def test_parquet_column_named_like_a_field_of_the_image_is_an_error(
    tmp_path: Path, name: str
) -> None:
    content = table_bytes([it.tags for it in SAMPLES], **{name: list(range(len(SAMPLES)))})
    source = make_file(tmp_path, "a.parquet", content)
    options = ConvertOptions(source=str(source), output="", **BY_NAME)
    with pytest.raises(UsageError, match=f"two columns .* the same path, got {name}"):
        list_sources(options)


def test_parquet_column_of_numbers_with_decimals_has_the_type_of_a_list(tmp_path: Path) -> None:
    """Whole numbers are integers, as in a list in Parquet."""
    columns: dict[str, Any] = {
        "image": [PICTURE] * 2,
        "label": ["x", "y"],
        "whole": [1.0, 2.0],
        "flag": [True, None],
    }
    found = listed(tmp_path / "a.parquet", parquet(columns), keep_columns="all")
    types = {column.name: column.type for column in found.columns or ()}
    assert types == {"whole": "int64", "flag": "string"}


@pytest.mark.parametrize(
    ("name", "content", "options", "message"),
    [
        ("a.tar", shard(lambda it: {"json": as_json(it, label=it.tags)}), {"label_column": "label"},
         r"a\.tar: 00\.png: a row has several labels.*--multi-label"),
        ("a.parquet", table_bytes([it.tags for it in SAMPLES]), {"label_column": "tags"},
         r"several labels.*--multi-label"),
        ("a.parquet", table_bytes(NUMBERS, metadata=[CLASS_LABEL]), {},
         r"several labels.*--multi-label"),
        ("a.tar", shard(lambda it: {"cls": b"1"}), {"keep_columns": "age"},
         r"--keep-columns is not a column of the containers.*got age"),
        ("a.parquet", FORMS["parquet list"][1], {**BY_NAME, "keep_columns": "x"},
         r"--keep-columns is not a column of the Parquet file, expected tags, age, site, score"),
        ("a.parquet", FORMS["parquet list"][1], {**BY_NAME, "keep_columns": "image"},
         r"--keep-columns names a column of the Parquet file that does not hold text"),
        ("a.parquet", FORMS["parquet list"][1], {"label_column": "score"},
         r"--label-column names a column of the Parquet file that holds neither"),
        ("a.tar", shard(lambda it: {"json": as_json(it, label={"a": 1})}),
         {"label_column": "label", "multi_label": True},
         r"00\.json: a value of the field with the labels is neither.*got label"),
        ("a.tar", shard(lambda it: {"cls": b"1", "json": b'{"pose": {"x": 1}}'}),
         {"keep_columns": "pose"}, r"a\.tar: 00\.png: a value of the column pose is neither"),
        ("a.tar", shard(lambda it: {"cls": b"1", "json": b'{"pose": '}), {"keep_columns": "pose"},
         r"00\.json: a JSON file of a sample has no fields"),
        ("a.tar", shard(lambda it: {"cls": b"1", "json": b" " * 300_000}), {"keep_columns": "x"},
         r"expected one JSON object of at most 262,144 bytes, got 300,000 bytes"),
        ("a.tgz", shard(lambda it: {"cls": b"1", "json": b'{"x": "%s"}' % (b"y" * 9000)}, "w:gz"),
         {"keep_columns": "x"}, r"too long to be kept.*at most 8,192 bytes"),
        ("a.tar", shard(lambda it: {"cls": b"1"}), {"split_column": "subset"},
         r"--split-column needs a list"),
        ("a.parquet", FORMS["parquet list"][1], {**BY_NAME, "group_column": "site"},
         r"--group-column needs a list"),
        ("a.tar", shard(lambda it: {"npy": b"1"}), {"multi_label": True}, r"there is no list"),
    ],
)  # fmt: skip
def test_container_whose_labels_or_columns_are_not_usable_is_an_error_that_names_the_option(
    tmp_path: Path, name: str, content: bytes, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        listed(tmp_path / name, content, **options)


def test_append_of_a_container_without_the_columns_of_the_dataset_is_an_error(
    convert: Convert, tmp_path: Path
) -> None:
    name, content, options = FORMS["json list"]
    path = make_file(tmp_path, name, content)
    convert(source=str(path), keep_columns=("age",), **options)
    other = make_file(tmp_path, "b.tar", shard(lambda it: {"cls": b"zoo"}))
    with pytest.raises(UsageError, match="--keep-columns is not a column of the containers"):
        convert(source=str(other), append=True)


@given(
    rows=st.lists(
        st.tuples(
            st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)),
            st.one_of(
                st.none(),
                st.integers(),
                st.floats(width=32, allow_nan=False, allow_infinity=False),
                st.text(max_size=5),
            ),
        ),
        min_size=1,
        max_size=5,
    )
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
def test_any_labels_and_values_of_a_shard_are_those_of_a_list(
    tmp_path: Path, rows: list[tuple[list[str], object]]
) -> None:
    def outcome(make: Callable[[], Sources]) -> object:
        try:
            found = make()
        except UsageError as error:
            return error.what
        return found.labels, found.columns, sorted((it.labels, it.columns) for it in found.images)

    folder = tmp_path / "photos"
    objects = [{"label": labels, "value": value} for labels, value in rows]
    for number in range(len(rows)):
        make_file(folder, f"{number}.png", PICTURE)
    parts = [
        (f"{number}.{extension}", content)
        for number, each in enumerate(objects)
        for extension, content in (("png", PICTURE), ("json", json.dumps(each).encode()))
    ]
    options: dict[str, Any] = {"multi_label": True, "keep_columns": "value"}
    listing = make_file(
        tmp_path, "a.jsonl", lines(*({"path": f"{n}.png", **it} for n, it in enumerate(objects)))
    )
    of_list = outcome(
        lambda: list_sources(
            ConvertOptions(source=str(folder), output="", list=str(listing), **options)
        )
    )
    of_shard = outcome(
        lambda: listed(tmp_path / "a.tar", tar_bytes(parts), label_column="label", **options)
    )
    if any(label.strip() for labels, _ in rows for label in labels):
        assert of_shard == of_list
    else:
        assert of_shard == "the containers give no image a class"


def test_list_in_parquet_may_have_lists_of_labels(tmp_path: Path) -> None:
    for key in IMAGES:
        make_file(tmp_path / "photos", key, PICTURE)
    columns: dict[str, Any] = {
        "path": list(IMAGES), "labels": [sample.tags for sample in SAMPLES]
    }  # fmt: skip
    path = make_file(tmp_path, "list.parquet", parquet(columns))
    options: dict[str, Any] = {"source": str(tmp_path / "photos"), "output": "", "list": str(path)}
    found = list_sources(ConvertOptions(**options, multi_label=True))
    assert labels_of(found) == {sample.key: set(sample.tags) for sample in SAMPLES}
    with pytest.raises(UsageError, match="several labels"):
        list_sources(ConvertOptions(**options))


def test_parquet_with_two_columns_of_one_name_is_damage(tmp_path: Path) -> None:
    arrays = [pa.array([PICTURE]), pa.array(["a"]), pa.array([1]), pa.array([2])]
    content = io.BytesIO()
    pq.write_table(pa.Table.from_arrays(arrays, names=["image", "label", "age", "age"]), content)
    with pytest.raises(CorruptDataError, match="two columns have the same name"):
        listed(tmp_path / "a.parquet", content.getvalue(), keep_columns="all")


def test_values_that_are_too_long_are_refused_before_all_rows_are_read(tmp_path: Path) -> None:
    columns: dict[str, Any] = {"image": [PICTURE] * 3, "label": ["a"] * 3}
    columns["text"] = ["x", "y" * 9000, "z"]
    with pytest.raises(UsageError, match=r"a.parquet row 2: the values of a row are too long"):
        listed(tmp_path / "a.parquet", parquet(columns), keep_columns="all")


def test_parquet_lists_that_expand_too_much_are_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One row may repeat a long text of the dictionary any number of times."""
    numbers = pa.array(np.zeros(400_000, np.int32))
    texts = pa.DictionaryArray.from_arrays(numbers, pa.array(["x" * 100_000]))
    columns: dict[str, Any] = {
        "image": [PICTURE],
        "label": pa.ListArray.from_arrays(pa.array([0, len(numbers)]), texts),
    }
    content = parquet(columns)
    assert len(content) < 1_000_000
    assert page_sizes.read_page_sizes(content).columns[-1].dictionary_bytes > 100_000
    monkeypatch.setattr(pq.ParquetFile, "iter_batches", None)  # not reached
    with pytest.raises(CorruptDataError, match="expands more than"):
        listed(tmp_path / "a.parquet", content, multi_label=True)
