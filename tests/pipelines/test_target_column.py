"""`--target-column` and `--label-column none`: numbers of a list without labels."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.compact import compact
from records.dataset import open_dataset
from records.errors import UsageError
from records.format.columns import Column
from records.verification import verify
from tests.pipelines.conftest import Convert
from tests.pipelines.pictures import make_file
from tests.pipelines.sources.lists.shapes import lines, parquet, table

AGES = ["31", "4.5", "", "1e2", "-7", "nan", "0.1", "62", "62", "18"]
KEYS = [f"{number:02}.png" for number in range(len(AGES))]
FORMS: dict[str, Callable[[list[tuple[str, str]]], bytes]] = {
    "list.csv": lambda rows: table(("path", "age"), *rows),
    "list.tsv": lambda rows: table(("path", "age"), *rows).replace(b",", b"\t"),
    "list.jsonl": lambda rows: lines(
        *({"path": key, "age": None if age in {"", "nan"} else float(age)} for key, age in rows)
    ),
    "list.parquet": lambda rows: parquet(
        {
            "path": [key for key, _ in rows],
            "age": [float(age) if age else None for _, age in rows],
        }
    ),
}


def to_float32(text: str) -> str:
    import numpy as np

    return str(float(np.float32(text))) if text else "nan"


EXPECTED = dict(zip(KEYS, map(to_float32, AGES), strict=True))


@pytest.fixture
def convert_rows(convert: Convert, tmp_path: Path) -> Callable[..., Any]:
    """Convert pictures with a list of this content."""
    root = tmp_path / "photos"
    for key in KEYS:
        make_file(root, key)

    def convert_now(content: bytes, name: str = "list.csv", **options: Any) -> Any:
        path = make_file(tmp_path, name, content)
        given = {"source": str(root), "list": str(path), "target_column": "age"}
        return convert(**{**given, **options})

    return convert_now


def ages(output: Path) -> dict[str, str]:
    records = (record for split in open_dataset(output).values() for record in split)
    return {record.key: str(record.columns["age"]) for record in records}


@pytest.mark.parametrize("form", FORMS)
def test_target_of_any_form_is_a_float_column_of_one_class(
    convert_rows: Callable[..., Any], output: Path, form: str
) -> None:
    report = convert_rows(FORMS[form](list(zip(KEYS, AGES, strict=True))), form, test=0.3)
    assert "no column of labels, 1 class; " in report.understood
    assert "targets from column `age`" in report.understood
    (note,) = (note for note in report.notes if "age" in note)
    assert note.startswith("2 images without a value in the target column age: ")
    assert not any("at least two classes" in note for note in report.notes)
    dataset = open_dataset(output)
    assert dataset.labels == ("image",)
    assert dataset.columns == (Column("age", "float32"),)
    assert ages(output) == EXPECTED
    assert list(verify(output, decode=True)) == []


def test_target_of_whole_numbers_is_a_float_column(
    convert_rows: Callable[..., Any], output: Path
) -> None:
    convert_rows(table(("path", "age"), *((key, "7") for key in KEYS)))
    assert open_dataset(output).columns == (Column("age", "float32"),)


def test_target_and_class_column_are_both_used(
    convert_rows: Callable[..., Any], output: Path
) -> None:
    rows = [(key, "ab"[number % 2], age) for number, (key, age) in enumerate(EXPECTED.items())]
    content = table(("path", "class", "age"), *rows)
    convert_rows(content)
    assert open_dataset(output).labels == ("a", "b")
    assert ages(output) == EXPECTED


def test_label_column_none_ignores_a_class_column(
    convert_rows: Callable[..., Any], output: Path
) -> None:
    rows = [(key, "ab"[number % 2], age) for number, (key, age) in enumerate(EXPECTED.items())]
    content = table(("path", "class", "age"), *rows)
    report = convert_rows(content, label_column="none", target_column=None, keep_columns="age")
    assert open_dataset(output).labels == ("image",)
    assert ages(output) == EXPECTED
    assert any("not used: class" in note for note in report.notes)


@pytest.mark.parametrize("name", ["target", "y", "label"])
def test_target_with_the_name_of_a_label_column_is_no_label(
    convert_rows: Callable[..., Any], output: Path, name: str
) -> None:
    convert_rows(table(("path", name), *EXPECTED.items()), target_column=name)
    assert open_dataset(output).labels == ("image",)
    assert open_dataset(output).columns == (Column(name, "float32"),)


def test_target_leaves_zeros_and_ones_of_other_columns_alone(
    convert_rows: Callable[..., Any], output: Path
) -> None:
    rows = [(key, age, str(number % 2), "1") for number, (key, age) in enumerate(EXPECTED.items())]
    convert_rows(table(("path", "age", "smoker", "adult"), *rows))
    assert open_dataset(output).labels == ("image",)


def test_target_with_unknown_path_column_finds_the_only_one_left(
    convert_rows: Callable[..., Any], output: Path
) -> None:
    convert_rows(table(("röntgen", "age"), *EXPECTED.items()))
    assert ages(output) == EXPECTED


def test_target_with_splits_and_groups(convert_rows: Callable[..., Any], output: Path) -> None:
    rows = [
        (key, age, ("train", "val")[number % 5 == 0], f"p{number // 5}")
        for number, (key, age) in enumerate(EXPECTED.items())
    ]
    convert_rows(table(("path", "age", "split", "patient"), *rows), group_column="none")
    splits = open_dataset(output)
    assert {name: len(split) for name, split in splits.items()} == {"train": 8, "validation": 2}
    assert ages(output) == EXPECTED


@pytest.mark.parametrize("text", ["inf", "-inf", "1e39", "old", "1,5", "12 years", "0x1f"])
def test_target_that_is_no_finite_number_names_row_and_key(
    convert_rows: Callable[..., Any], output: Path, text: str
) -> None:
    rows = [(KEYS[0], "1"), (KEYS[1], f'"{text}"')]
    content = "\n".join(["path,age", *map(",".join, rows)]).encode()
    with pytest.raises(UsageError, match="target column age is not a finite number") as caught:
        convert_rows(content)
    assert str(caught.value.path).endswith("list.csv line 3")
    assert caught.value.got == text
    assert KEYS[1] in str(caught.value.hint)
    assert not (output / "dataset.json").exists()


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (
            table(("path", "age"), (KEYS[0], "")),
            {},
            "no image has a value in the target column age",
        ),
        (table(("path", "old"), (KEYS[0], "1")), {}, "--target-column is not a column"),
        (table(("path", "a/b"), (KEYS[0], "1")), {"target_column": "a/b"}, "name of a feature"),
        (None, {"list": None}, "there is no list"),
    ],
)
def test_target_that_cannot_be_kept_is_an_error(
    convert_rows: Callable[..., Any], content: bytes | None, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        convert_rows(content or b"", **options)


def test_list_without_labels_and_options_names_both(
    convert_rows: Callable[..., Any],
) -> None:
    rows = [(key, age, "x") for key, age in EXPECTED.items()]
    with pytest.raises(UsageError, match="known to be the label") as caught:
        convert_rows(table(("path", "age", "note"), *rows), target_column=None)
    assert "--label-column none" in str(caught.value.hint)


def test_labels_with_decimals_are_noted(convert_rows: Callable[..., Any], tmp_path: Path) -> None:
    content = table(("path", "age"), *((key, age or "3") for key, age in EXPECTED.items()))
    report = convert_rows(content.replace(b"nan", b"5"), target_column=None)
    assert any("convert with --target-column age" in note for note in report.notes)
    whole = table(("path", "age"), *((key, str(number)) for number, key in enumerate(KEYS)))
    report = convert_rows(whole, target_column=None, output=str(tmp_path / "other"))
    assert not any("--target-column" in note for note in report.notes)


def test_target_survives_append_and_compact(
    convert_rows: Callable[..., Any], output: Path, tmp_path: Path
) -> None:
    rows = list(EXPECTED.items())
    convert_rows(table(("path", "age"), *rows[:6]))
    report = convert_rows(table(("path", "age"), *rows), append=True)
    assert report.generation == 2
    assert ages(output) == EXPECTED
    compact(str(output), str(tmp_path / "compact"))
    assert ages(tmp_path / "compact") == EXPECTED
    assert list(verify(tmp_path / "compact", decode=True)) == []


def test_metadata_file_next_to_images_has_a_target(
    convert: Convert, tmp_path: Path, output: Path
) -> None:
    root = tmp_path / "images"
    for key in KEYS:
        make_file(root, f"train/{key}")
    make_file(root, "train/metadata.csv", table(("file_name", "age"), *EXPECTED.items()))
    convert(source=str(root), target_column="age")
    assert {key.removeprefix("train/"): age for key, age in ages(output).items()} == EXPECTED
    missing = [age for age in ages(output).values() if math.isnan(float(age))]
    assert len(missing) == 2
