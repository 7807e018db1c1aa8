"""`--keep-columns`: values of a list in records, indexes, statistics and generations."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.compact import compact
from pipelines.sources.lists.kept_columns import infer_columns, parse_values
from records.dataset import open_dataset
from records.errors import CorruptDataError, UsageError
from records.format.columns import (
    MAX_COLUMNS,
    MAX_TEXT_BYTES,
    Column,
    pack_values,
    unpack_values,
)
from records.format.layout import index_name
from records.stats import stats
from records.verification import verify
from tests.datasets import edit_manifest
from tests.pipelines.conftest import Convert
from tests.pipelines.pictures import make_file
from tests.pipelines.sources.lists.shapes import table

KEYS = [f"cat/{number}.png" for number in range(12)] + [f"dog/{number}.png" for number in range(9)]
HEAD = ("path", "label", "age", "weight", "site", "zip")


def to_float32(number: float) -> float:
    return float(struct.unpack("<f", struct.pack("<f", number))[0])


def row_of(number: int) -> tuple[str, ...]:
    weight = "" if number == 3 else f"{number / 7:.3f}"
    return (
        KEYS[number],
        KEYS[number][:3],
        str(number - 5),
        weight,
        f"né, {number % 3}",
        f"0{number}",
    )


def value_of(number: int) -> dict[str, Any]:
    weight = math.nan if number == 3 else to_float32(float(f"{number / 7:.3f}"))
    return {
        "age": number - 5, "site": f"né, {number % 3}", "weight": weight, "zip": f"0{number}"
    }  # fmt: skip


@pytest.fixture
def listed(convert: Convert, tmp_path: Path, source: Path) -> Callable[..., Any]:
    """Convert the first rows of the list, with all columns."""
    names = sorted(str(path.relative_to(source)) for path in source.rglob("*.png"))
    assert len(names) == len(KEYS)
    KEYS[:] = names

    def convert_list(rows: int = len(KEYS), head: Sequence[str] = HEAD, **options: Any) -> Any:
        path = tmp_path / "list.csv"
        path.write_bytes(table(head, *map(row_of, range(rows))))
        return convert(list=str(path), **{"keep_columns": "all", **options})

    return convert_list


def values_of(output: Path) -> dict[str, str]:
    """Return the columns of each record, read in order and by number; NaN equals itself as text."""
    found: dict[str, str] = {}
    for split in open_dataset(output).values():
        in_order = list(split)
        assert list(map(repr, in_order)) == [repr(split[number]) for number in range(len(split))]
        found |= {record.key: str(dict(record.columns)) for record in in_order}
    return found


def findings_of(output: Path) -> list[str]:
    return [finding.detail for finding in verify(output, decode=True)]


def expected_values(rows: int = len(KEYS)) -> dict[str, str]:
    return {KEYS[number]: str(value_of(number)) for number in range(rows)}


def test_kept_columns_are_in_records_and_index(listed: Callable[..., Any], output: Path) -> None:
    report = listed(test=0.3)
    assert "keeps 4 columns: age, weight, site, zip" in report.understood
    assert values_of(output) == expected_values()
    dataset = open_dataset(output)
    assert dataset.columns == (
        Column("age", "int64"),
        Column("site", "string"),
        Column("weight", "float32"),
        Column("zip", "string"),
    )
    shard = dataset["train"].info.shards[0].name
    table_of = pq.read_table(output / index_name(shard)).flatten()
    assert "columns.age" in table_of.column_names
    assert table_of.schema.field("columns.weight").type == pa.float32()
    assert findings_of(output) == []


def test_kept_columns_do_not_change_other_features_or_order(
    listed: Callable[..., Any], output: Path, tmp_path: Path
) -> None:
    listed(test=0.3)
    listed(test=0.3, keep_columns=None, output=str(tmp_path / "plain"))
    plain = open_dataset(tmp_path / "plain")
    assert plain.columns == ()
    for name, split in open_dataset(output).items():
        for record, other in zip(split, plain[name], strict=True):
            assert not other.columns
            assert (record.key, record.image, record.label) == (other.key, other.image, other.label)


@pytest.mark.parametrize("given", ["age,zip", ("zip", "age"), "age, zip,", ("age", "age", "zip")])
def test_kept_columns_by_name_are_stored_in_one_order(
    listed: Callable[..., Any], output: Path, given: Any
) -> None:
    report = listed(keep_columns=given)
    assert [column.name for column in open_dataset(output).columns] == ["age", "zip"]
    assert any("not used: weight, site" in note for note in report.notes)


def test_kept_column_may_have_another_role(listed: Callable[..., Any], output: Path) -> None:
    listed(keep_columns="label")
    assert {record.columns["label"] for record in open_dataset(output)["train"]} == {"cat", "dog"}


def test_kept_columns_survive_append_and_compact(
    listed: Callable[..., Any], output: Path, tmp_path: Path
) -> None:
    once = tmp_path / "once"
    listed(output=str(once), test=0.3)
    listed(15, test=0.3)
    assert listed(append=True, keep_columns=None).generation == 2
    assert values_of(output) == expected_values()
    compact(str(output), str(tmp_path / "compact"))
    for name in sorted(path.name for path in once.glob("*.tfrecord")):
        assert (once / name).read_bytes() == (tmp_path / "compact" / name).read_bytes()
    # The compacted indexes have the digest of a plan with the same values.
    assert values_of(tmp_path / "compact") == expected_values()
    assert findings_of(tmp_path / "compact") == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"keep_columns": "age"}, "the columns to keep are not those of the dataset"),
        ({"head": ("path", "label", "old", "weight", "site", "zip")}, "not a column of the list"),
        ({"list": None}, "the dataset needs a list, and there is no list"),
    ],
)
def test_append_other_columns_is_an_error(
    listed: Callable[..., Any], convert: Convert, options: dict[str, Any], message: str
) -> None:
    listed(15)
    run = convert if "list" in options else listed
    with pytest.raises(UsageError, match=message):
        run(append=True, **{"keep_columns": None, **options})


def test_append_value_of_another_type_names_row_and_column(
    listed: Callable[..., Any], tmp_path: Path, convert: Convert
) -> None:
    listed(15)
    path = tmp_path / "more.csv"
    path.write_bytes(table(HEAD, (KEYS[20], "dog", "old", "1", "x", "1")))
    with pytest.raises(UsageError) as caught:
        convert(append=True, list=str(path))
    assert caught.value.path == f"{path} line 2"
    assert "the column age" in caught.value.what
    assert (caught.value.expected, caught.value.got) == ("a value of type int64", "old")


def test_kept_columns_have_statistics(listed: Callable[..., Any], output: Path) -> None:
    listed(test=0.3)
    found = stats(output).columns
    assert (found["age"].min, found["age"].max, found["age"].mean) == (-5, 15, 5.0)
    assert found["weight"].missing == 1
    assert found["site"].most_frequent == {f"né, {number}": 7 for number in range(3)}
    text = repr(stats(output))
    assert "-5 to 15, mean 5" in text
    assert "né, 0 (7)" in text


def test_verify_other_values_than_in_index_is_a_finding(
    listed: Callable[..., Any], output: Path, tmp_path: Path
) -> None:
    listed()
    listed(output=str(tmp_path / "other"), head=("path", "label", "age", "weight", "zip", "site"))
    (name,) = (path.name for path in output.glob("*.tfrecord"))
    (output / name).write_bytes((tmp_path / "other" / name).read_bytes())
    assert any("columns: expected" in detail for detail in findings_of(output))
    with pytest.raises(CorruptDataError, match="other records than its index"):
        open_dataset(output)["train"].check_first_record(0)


def test_index_without_the_columns_of_the_manifest_is_damage(
    listed: Callable[..., Any], output: Path
) -> None:
    listed()

    def drop(manifest: dict[str, Any]) -> None:
        manifest["settings"]["columns"].pop()

    edit_manifest(output, drop)
    with pytest.raises(
        CorruptDataError, match="the index does not match the manifest, got other columns"
    ):
        open_dataset(output)["train"][0]


@pytest.mark.parametrize(
    ("head", "options", "message"),
    [
        (HEAD, {"keep_columns": "height"}, "--keep-columns is not a column"),
        (("path", "label", "a/b", "c", "d", "e"), {}, "the name of a column cannot be"),
        (("path", "label", "a\u202eb", "c", "d", "e"), {}, "the name of a column cannot be"),
        (("path", "label", "x" * 101, "c", "d", "e"), {}, "the name of a column cannot be"),
    ],
)
def test_columns_that_cannot_be_kept_are_errors(
    listed: Callable[..., Any], head: Sequence[str], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        listed(head=head, **options)
    assert str(caught.value.path).endswith("list.csv")


@pytest.mark.parametrize("given", ["all", "age"])
def test_kept_columns_of_class_folders_are_an_error(convert: Convert, given: str) -> None:
    with pytest.raises(UsageError) as caught:
        convert(keep_columns=given)
    assert str(caught.value.hint).startswith("add --list FILE")


def test_too_many_columns_are_an_error(convert: Convert, tmp_path: Path) -> None:
    names = [f"n{number}" for number in range(MAX_COLUMNS + 1)]
    path = tmp_path / "wide.csv"
    path.write_bytes(table(("path", "label", *names), (KEYS[0], "cat", *names)))
    with pytest.raises(UsageError, match="too many columns"):
        convert(list=str(path), keep_columns="all")


def test_too_long_text_names_the_row(convert: Convert, tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    rows = [(KEYS[0], "cat", "short"), (KEYS[1], "cat", "x" * (MAX_TEXT_BYTES + 1))]
    path.write_bytes(table(("path", "label", "note"), *rows))
    with pytest.raises(UsageError, match="too long to be kept") as caught:
        convert(list=str(path), keep_columns="all")
    assert caught.value.path == f"{path} line 3"


def test_json_value_that_is_no_scalar_names_row_and_column(
    convert: Convert, tmp_path: Path
) -> None:
    path = tmp_path / "list.jsonl"
    rows = [
        {"path": KEYS[0], "label": "cat", "box": 1},
        {"path": KEYS[1], "label": "cat", "box": [1, 2]},
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(UsageError, match="a value of the column box") as caught:
        convert(list=str(path), keep_columns="all")
    assert caught.value.path == f"{path} line 2"


def test_texts_of_any_size_that_is_kept_give_an_index_that_is_read(
    convert: Convert, tmp_path: Path, output: Path
) -> None:
    root = tmp_path / "many"
    for number in range(300):
        make_file(root, f"{number}.png")
    text = "x" * (MAX_TEXT_BYTES // 2)
    path = tmp_path / "long.csv"
    rows = [(f"{number}.png", "cat", text, text) for number in range(300)]
    path.write_bytes(table(("path", "label", "a", "b"), *rows))
    convert(source=str(root), list=str(path), keep_columns="all")
    assert {record.columns["b"] for record in open_dataset(output)["train"]} == {text}
    assert findings_of(output) == []


def test_large_integers_have_statistics(
    convert: Convert, tmp_path: Path, output: Path, source: Path
) -> None:
    path = tmp_path / "ids.csv"
    keys = sorted(str(each.relative_to(source)) for each in source.rglob("*.png"))
    rows = [(key, "cat", 2**62 + number) for number, key in enumerate(keys)]
    path.write_bytes(table(("path", "label", "tweet"), *rows))
    convert(list=str(path), keep_columns="all")
    found = stats(output).columns["tweet"]
    assert (found.min, found.max) == (2**62, 2**62 + len(keys) - 1)


@pytest.mark.parametrize("name", [" age ", "ÄGE", "a.b", "columns", "label.1"])
def test_column_of_any_name_is_kept_by_an_append(
    convert: Convert, tmp_path: Path, output: Path, source: Path, name: str
) -> None:
    keys = sorted(str(each.relative_to(source)) for each in source.rglob("*.png"))
    path = tmp_path / "list.jsonl"
    for rows in (keys[::2], keys):
        path.write_text("".join(json.dumps({"file": k, "kind": "c", name: 3}) + "\n" for k in rows))
        options = {"label_column": "kind", "list": str(path)}
        convert(**options, keep_columns="all" if rows != keys else None, append=rows == keys)
    assert {record.columns[name] for record in open_dataset(output)["train"]} == {3}
    assert findings_of(output) == []


def test_kept_column_is_not_guessed_to_be_a_class(convert: Convert, tmp_path: Path) -> None:
    path = tmp_path / "hot.csv"
    path.write_bytes(table(("path", "a", "b", "c"), (KEYS[0], 1, 0, 1), (KEYS[1], 0, 1, 0)))
    report = convert(list=str(path), keep_columns="c")
    assert report.classes == 2
    path.write_bytes(table(("path", "breed2", "age"), (KEYS[0], "x", 1), (KEYS[1], "y", 2)))
    report = convert(list=str(path), keep_columns="age", output=str(tmp_path / "other"))
    assert "labels from column `breed2`" in str(report.understood)


def test_rows_of_one_image_with_other_values_are_an_error(convert: Convert, tmp_path: Path) -> None:
    path = tmp_path / "twice.csv"
    path.write_bytes(table(("path", "label", "age"), (KEYS[0], "cat", "1"), (KEYS[0], "cat", "2")))
    with pytest.raises(UsageError, match="different values of age"):
        convert(list=str(path), keep_columns="all")


def test_metadata_next_to_images_keeps_columns(
    convert: Convert, source: Path, output: Path
) -> None:
    rows = [(f"{folder}/{path.name}", folder, str(number))
            for folder in ("cat", "dog")
            for number, path in enumerate(sorted((source / folder).iterdir()))]  # fmt: skip
    (source / "metadata.csv").write_bytes(table(("file_name", "label", "rank"), *rows))
    convert(keep_columns="all")
    ranks = {record.key: record.columns["rank"] for record in open_dataset(output)["train"]}
    assert ranks == {key: int(rank) for key, _, rank in rows}


@pytest.mark.parametrize(
    ("texts", "kind"),
    [
        (["1", "-7", "0"], "int64"),
        (["1", " 2 "], "int64"),
        ([str(2**63 - 1), str(-(2**63))], "int64"),
        ([str(2**63)], "float32"),
        (["1", ""], "float32"),
        (["1", "NaN"], "float32"),
        ([str(1 << 24), ""], "float32"),
        ([str((1 << 24) + 1), ""], "string"),
        (["1.5", "2", "1e-3", ".5", "-3."], "float32"),
        (["1e39"], "string"),
        (["007", "8"], "string"),
        (["1,5"], "string"),
        (["", ""], "string"),
        (["nan"], "string"),
        (["1", "x"], "string"),
        (["."], "string"),
        (["e5"], "string"),
        (["E11"], "string"),
        ([".E5"], "string"),
        (["+E+5"], "string"),
        (["1E5", ".5E-5", "-0.E5"], "float32"),
        (["-"], "string"),
        (["inf"], "string"),
        (["٣"], "string"),
        (["1_000"], "string"),
        (["0x10"], "string"),
        (["9" * 5000], "string"),
    ],
)
def test_type_of_a_column_follows_from_all_values(texts: list[str], kind: str) -> None:
    (column,) = infer_columns({"a": texts})
    assert column == Column("a", kind)  # type: ignore[arg-type]
    for text in texts:
        parse_values((column,), [text], "row")


numbers = st.one_of(
    st.integers(-(1 << 63), (1 << 63) - 1).map(str),
    st.floats(width=32, allow_nan=False, allow_infinity=False).map(repr),
    st.just(""),
)


@given(st.one_of(st.lists(numbers, min_size=1), st.lists(st.text(max_size=9), min_size=1)))
def test_values_of_any_column_have_its_type_and_pack(texts: list[str]) -> None:
    (column,) = infer_columns({"a": texts})
    kinds = {"int64": int, "float32": float, "string": str}
    for text in texts:
        (value,) = parse_values((column,), [text], "row")
        assert isinstance(value, kinds[column.type])
        assert pack_values(unpack_values(pack_values([value]))) == pack_values([value])
        if column.type == "string":
            assert value == text
        elif column.type == "int64":
            assert value == int(text)
        elif not math.isnan(float(value)):
            assert value == to_float32(float(text))


def test_columns_of_several_lists_are_those_of_any(convert: Convert, tmp_path: Path) -> None:
    root = tmp_path / "photos"
    for split, head in (
        ("train", ("file_name", "label", "a")),
        ("test", ("file_name", "label", "b")),
    ):
        folder = root / split
        folder.mkdir(parents=True)
        for number in range(3):
            (folder / f"{number}.png").write_bytes(
                (tmp_path / "source" / KEYS[number]).read_bytes()
            )
        rows = [(f"{number}.png", "x" if number else "y", str(number)) for number in range(3)]
        (folder / "metadata.csv").write_bytes(table(head, *rows))
    convert(source=str(root), keep_columns="all")
    dataset = open_dataset(tmp_path / "data")
    assert [(it.name, it.type) for it in dataset.columns] == [("a", "float32"), ("b", "float32")]
    assert all(math.isnan(float(record.columns["b"])) for record in dataset["train"])
    assert {record.columns["b"] for record in dataset["test"]} == {0.0, 1.0, 2.0}
