"""Conditions of `--where`, compared with Python expressions."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.edit import remove
from pipelines.edit.where import Condition
from records import Dataset, open_dataset
from records.errors import UsageError
from records.format.index import read_shard_index
from tests.pipelines.conftest import Convert
from tests.pipelines.pictures import make_file, make_picture

CLASSES = ("cat", "dog", "émeu")


@pytest.fixture
def dataset(tmp_path: Path, convert: Convert) -> Dataset:
    """Return a dataset with pictures of different sizes and formats, and kept columns."""
    photos = tmp_path / "photos"
    lines = ["path,label,age,score,from"]
    for number in range(40):
        kind, size = ("PNG", "JPEG")[number % 2], (4 + number % 7, 4 + number % 5)
        key = f"{number:02d}.{kind.lower()}"
        make_file(photos, key, make_picture(number, kind=kind, size=size))
        origin = ("", "Zoo", "a'b")[number % 3]
        lines.append(f"{key},{CLASSES[number % 3]},{number % 9},{number / 10},{origin}")
    (tmp_path / "list.csv").write_text("\n".join(lines), encoding="utf-8")
    given = {"list": str(tmp_path / "list.csv"), "keep_columns": "all"}
    convert(source=str(photos), test=0.3, shards=3, **given)
    return open_dataset(tmp_path / "data")


def select(dataset: Dataset, text: str) -> set[str]:
    condition = Condition(text, dataset.manifest)
    found: set[str] = set()
    for name, split in dataset.items():
        for shard in split.info.shards:
            index = read_shard_index(dataset.storage, shard)
            keys = index.table["key"].to_pylist()
            mask = condition.mask(name, index)
            found |= {key for key, chosen in zip(keys, mask, strict=True) if chosen}
    return found


def list_rows(dataset: Dataset) -> list[dict[str, Any]]:
    """Return the columns of each record; those that Python reserves have other names."""
    rows = []
    for name, split in dataset.items():
        for number in range(len(split)):
            _, row = split.read_raw(number)
            words = {"class_": dataset.labels[row.label], "from_": row.columns["from"]}
            rows.append({**row._asdict(), **row.columns, **words, "split": name})
    return rows


def select_with_python(rows: list[dict[str, Any]], text: str) -> set[str]:
    code = compile(text.replace("class ", "class_ ").replace("from ", "from_ "), "", "eval")
    return {row["key"] for row in rows if eval(code, {"__builtins__": {}}, row)}


PARTS: tuple[Callable[[random.Random], str], ...] = (
    lambda chance: f"class {chance.choice(('==', '!='))} {chance.choice(CLASSES)!r}",
    lambda chance: f"class {chance.choice(('in', 'not in'))} {chance.sample(CLASSES, 2)!r}",
    lambda chance: f"split {chance.choice(('==', '!='))} {chance.choice(('train', 'test'))!r}",
    lambda chance: f"'{chance.randint(0, 3)}' {chance.choice(('in', 'not in'))} key",
    lambda chance: f"{chance.randint(4, 7)} <= width < {chance.randint(6, 11)}",
    lambda chance: f"height {chance.choice(('<', '<=', '>', '>=', '==', '!='))} width",
    lambda chance: f"label in ({chance.randint(0, 2)}, {chance.randint(0, 2)})",
    lambda chance: f"age {chance.choice(('<', '>=', '=='))} {chance.choice((3, 4.5, -1))}",
    lambda chance: f"score < {chance.uniform(0, 4)}",
    lambda chance: f"from {chance.choice(('==', '!=', '<'))} {chance.choice(('', 'Zoo'))!r}",
    lambda chance: f"format == {chance.choice(('png', 'jpeg'))!r} and channels == 3",
    lambda chance: f"source_bytes >= {chance.randint(50, 900)} or stored_bytes < 120",
)


def make_condition(chance: random.Random, depth: int = 2) -> str:
    if depth == 0 or chance.random() < 0.3:
        return chance.choice(PARTS)(chance)
    parts = [f"({make_condition(chance, depth - 1)})" for _ in range(chance.randint(2, 3))]
    joined = f" {chance.choice(('and', 'or'))} ".join(parts)
    return f"not ({joined})" if chance.random() < 0.3 else joined


def test_condition_selects_the_same_records_as_python(dataset: Dataset) -> None:
    chance, rows = random.Random(5), list_rows(dataset)
    sizes = set()
    for text in [*(part(chance) for part in PARTS), *(make_condition(chance) for _ in range(60))]:
        found = select(dataset, text)
        assert found == select_with_python(rows, text), text
        sizes.add(len(found))
    assert {0, 40} & sizes
    assert len(sizes) > 15


def test_condition_on_float_column_compares_stored_values(dataset: Dataset) -> None:
    assert select(dataset, "score == 0.1") == {"01.jpeg"}
    assert select(dataset, "column['score'] in (0.3, 2)") == {"03.jpeg", "20.png"}


REFUSED = {
    "": "not valid",
    "class ==": "not valid",
    "(" * 5000: "not valid",
    "width < 1\n": None,
    "width <\n1": "not valid",
    "width < 1; width": "not valid",
    "width < 1 \0": "not valid",
    "width": "unknown part",
    "width + 1 < 3": "unknown part",
    "len(key) > 3": "unknown part",
    "key.startswith('a')": "unknown part",
    "key[0] == 'a'": "unknown part",
    "width < 3 if height else 1": "unknown part",
    "(x := width) < 3": "unknown part",
    "f'{key}' == 'a'": "unknown part",
    "[1 for x in key] == 1": "unknown part",
    "__import__('os').system('true')": "unknown part",
    "lambda: width < 3": "unknown part",
    "width == True": "unknown part",
    "width == None": "unknown part",
    "width == b'a'": "unknown part",
    "width is 3": "unknown comparison",
    "1 < 2": "compares no column",
    "size < 3": "names a column",
    "column['size'] < 3": "names a column",
    "__class__ == 'cat'": "names a column",
    "keyword_age < 3": "names a column",
    "_name_age < 3": "names a column",
    "offset < 3": "names a column",
    "width < 'a'": "another type",
    "class < 3": "another type",
    "class in ('cat', 3)": "another type",
    "width < key": "compares width with key",
    "3 in width": "invalid `in`",
    "width in height": "invalid `in`",
    "width in (height, 3)": "invalid `in`",
    "class == 'catt'": "no class of this name",
    "class != 'catt'": "no class of this name",
    "class in ('cat', 'catt')": "no class of this name",
    r"key == '\ud800'": "not valid Unicode",
    r"'\ud800' in key": "not valid Unicode",
    r"key < '\ud800'": "not valid Unicode",
    "split == 'val'": "no split of this name",
    f"width == {10**30}": "out of range",
    "width < 1 or " * 1000 + "width < 2": "too long",
    "not " * 2000 + "width < 1": "",
}


@pytest.mark.parametrize(("text", "reason"), REFUSED.items(), ids=range(len(REFUSED)))
def test_condition_that_is_no_condition_is_one_error_line(
    dataset: Dataset, text: str, reason: str | None
) -> None:
    if reason is None:
        assert select(dataset, text) == set()
        return
    with pytest.raises(UsageError) as found:
        Condition(text, dataset.manifest)
    assert reason in str(found.value)
    assert "\n" not in str(found.value)
    assert "write a condition such as" in str(found.value.hint)


def test_condition_as_deep_as_possible_is_true_or_an_error_line(dataset: Dataset) -> None:
    """The evaluation of the records may have less stack left than that of the empty table."""
    outcomes = set()
    for depth in range(900, 1000, 2):
        try:
            remove(str(dataset.storage.url), where="not " * depth + "width < 0", dry_run=True)
            outcomes.add("accepted")
        except UsageError as error:
            outcomes.add(str(error.what))
    assert outcomes <= {"accepted", "--where: the condition is nested too deeply"}
    assert len(outcomes) == 2


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("class == 'a'", {0, 2}),
        ("class != 'a'", {1, 3}),
        ("class in ('b', 'c')", {1, 2}),
        ("'b' in class", {1, 2}),
        ("label == 2", {1}),
        ("label not in (0, 1)", {3}),
        ("not (class == 'a' or class == 'b')", {3}),
    ],
)
def test_condition_on_several_labels_is_true_if_any_label_is(
    convert: Convert, tmp_path: Path, text: str, numbers: set[int]
) -> None:
    labels = ("a", "b|c", "a|b", "")
    for number in range(4):
        make_file(tmp_path / "photos", f"{number}.png", make_picture(number))
    rows = [f"{number}.png,{names}" for number, names in enumerate(labels)]
    (tmp_path / "list.csv").write_text("\n".join(["path,label", *rows]))
    given: dict[str, Any] = {"list": str(tmp_path / "list.csv"), "label_separator": "|"}
    convert(source=str(tmp_path / "photos"), **given)
    dataset = open_dataset(tmp_path / "data")
    assert select(dataset, text) == {f"{number}.png" for number in numbers}
    with pytest.raises(UsageError, match="several values per image"):
        Condition("label < 2", dataset.manifest)


def test_remove_with_condition_removes_exactly_the_selected_records(dataset: Dataset) -> None:
    text = "class == 'dog' and from != 'Zoo' or age == 3"
    selected = select(dataset, text)
    before = {record.key for split in dataset.values() for record in split}
    report = remove(dataset.path, where=text)
    after = {record.key for split in open_dataset(dataset.path).values() for record in split}
    assert report.removed == len(selected) > 0
    assert after == before - selected
