"""The same rows in every format, encoding and spelling are the same images."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipelines.options import ConvertOptions
from pipelines.sources import list_sources
from records.errors import ShardmillError, UsageError
from tests.pipelines.pictures import make_file
from tests.pipelines.sources.lists.shapes import lines, parquet, table
from tests.processor_time import processor_seconds

ROWS = [
    ("x/a 1.png", "großer Hund", "train", "g1"),
    ("x/b,2.png", "cat;tabby", "VAL", "g1"),
    ("c|3.png", '"quoted"', "Testing", "g2"),
    ("d'4'.png", "5", "", "g3"),
]
SPLITS = {"train": "train", "VAL": "validation", "Testing": "test", "": None}
COLUMNS = ("path", "label", "split", "group")
QUOTING = {"minimal": csv.QUOTE_MINIMAL, "all": csv.QUOTE_ALL, "nonnumeric": csv.QUOTE_NONNUMERIC}
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16")

Found = dict[str, tuple[str, str | None, bytes | None]]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for path, *_ in ROWS:
        make_file(tmp_path / "photos", path)
    return tmp_path / "photos"


@pytest.fixture
def find(root: Path, tmp_path: Path) -> Callable[..., Found]:
    def find_now(content: bytes, name: str = "list.csv", **options: Any) -> Found:
        path = make_file(tmp_path, name, content)
        found = list_sources(ConvertOptions(source=str(root), output="", list=str(path), **options))
        assert not found.rejects
        return {
            image.key.decode(): (found.labels[image.label], image.split, image.group)
            for image in found.images
        }

    return find_now


def expected() -> Found:
    return {path: (label, SPLITS[split], group.encode()) for path, label, split, group in ROWS}


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("quoting", QUOTING)
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["lf", "crlf"])
def test_delimited_list_any_dialect_gives_the_same_images(
    find: Callable[..., Found], delimiter: str, encoding: str, quoting: str, end: str
) -> None:
    content = table(
        COLUMNS, *ROWS, delimiter=delimiter, quoting=QUOTING[quoting], lineterminator=end
    )
    assert find(content.decode().encode(encoding)) == expected()


def spaced(name: str) -> str:
    return f"  {name.title()} "


@pytest.mark.parametrize("spell", [str.upper, str.title, spaced], ids=["upper", "title", "spaced"])
@pytest.mark.parametrize(
    "names",
    [
        ("path", "label", "split", "group"),
        ("file", "class", "subset", "patient_id"),
        ("file name", "class-name", "set", "Patient"),
        ("image_path", "category", "ml_use", "group id"),
        ("image uri", "target", "partition", "subject_id"),
        ("img", "diagnosis", "data split", "patientid"),
        ("filename", "species", "splits", "group"),
    ],
)
def test_delimited_list_any_spelling_of_columns_is_found(
    find: Callable[..., Found], names: tuple[str, ...], spell: Callable[[str], str]
) -> None:
    assert find(table(list(map(spell, names)), *ROWS)) == expected()


@pytest.mark.parametrize("order", [(3, 2, 1, 0), (1, 0, 3, 2), (2, 3, 0, 1)])
@pytest.mark.parametrize("index", [None, "", "Unnamed: 0", "index"])
def test_delimited_list_order_of_columns_and_index_of_pandas_do_not_matter(
    find: Callable[..., Found], order: tuple[int, ...], index: str | None
) -> None:
    rows = [[row[column] for column in order] for row in [COLUMNS, *ROWS]]
    first = [] if index is None else [[index], *([str(number)] for number in range(len(ROWS)))]
    numbered = [[*start, *row] for start, row in zip(first or [[]] * len(rows), rows, strict=True)]
    assert find(table(*numbered)) == expected()


def objects() -> list[dict[str, str]]:
    return [dict(zip(COLUMNS, row, strict=True)) for row in ROWS]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("list.jsonl", lines(*objects())),
        ("LIST.JSONL", lines(*objects())),
        ("list.NdJson", lines(*objects())),
        ("list.txt", lines(*objects())),
        ("list.json", json.dumps(objects()).encode()),
        ("list.json", json.dumps(objects(), indent=2).encode()),
        ("list", json.dumps(objects()).encode("utf-16")),
        ("list.parquet", parquet({n: [row[i] for row in ROWS] for i, n in enumerate(COLUMNS)})),
        ("list.csv", b"sep=;\r\n" + table(COLUMNS, *ROWS, delimiter=";")),
        ("list.csv", b"sep=|\n" + table(COLUMNS, *ROWS, delimiter="|")),
        ("list.csv", b"\n\r\n" + table(COLUMNS, *ROWS)),
        ("list.tsv", table(COLUMNS, *ROWS, delimiter="\t")),
        ("list.csv", table(COLUMNS, *ROWS, quotechar="'", quoting=csv.QUOTE_ALL)),
    ],
    ids=str,
)
def test_list_any_format_gives_the_same_images(
    find: Callable[..., Found], name: str, content: bytes
) -> None:
    assert find(content, name) == expected()


def test_list_columns_that_the_user_names_are_taken(find: Callable[..., Found]) -> None:
    names = ["where", "path", "label", "what", "when", "who"]
    rows = [(path, "-", "-", label, split, group) for path, label, split, group in ROWS]
    named = {
        "path_column": "where",
        "label_column": "What",
        "split_column": "when",
        "group_column": "who",
    }
    assert find(table(names, *rows), **named) == expected()
    numbered = {f"{role}_column": number for role, number in zip(COLUMNS, "1456", strict=True)}
    assert find(table(*rows), **numbered) == expected()


def test_list_columns_none_are_not_used(find: Callable[..., Found]) -> None:
    content = table(["file", "label", "set", "patient"], ["c|3.png", "cat", "first", "p"])
    with pytest.raises(UsageError, match=r"line 2: a row has an unknown split.*-column none"):
        find(content)
    found = find(content, split_column="none", group_column="none")
    assert found == {"c|3.png": ("cat", None, None)}


@pytest.mark.parametrize("role", ["path", "label", "split", "group"])
def test_list_named_column_is_missing_the_columns_are_shown(
    find: Callable[..., Found], role: str
) -> None:
    with pytest.raises(UsageError, match=rf"--{role}-column .*expected path, label.*got nothing"):
        find(table(["path", "label"], ["c|3.png", "cat"]), **{f"{role}_column": "nothing"})


@pytest.mark.parametrize("value", ["1", "1.0", "True"])
def test_list_one_hot_columns_give_one_label(find: Callable[..., Found], value: str) -> None:
    content = table(
        ["image", "cat", "dog", "age"], ["c|3.png", "0", value, 7], ["x/a 1.png", value, "", 8]
    )
    for options in ({}, {"label_column": "cat, dog"}, {"label_column": "Dog,CAT"}):
        found = {key: it[0] for key, it in find(content, **options).items()}
        assert found == {"c|3.png": "dog", "x/a 1.png": "cat"}


@pytest.mark.parametrize(
    ("name", "content", "place"),
    [
        ("a.csv", table(["image", "cat", "dog"], ["c|3.png", 1, 0], ["x/a 1.png", 1, 1]), "line 3"),
        ("a.csv", table(["image", "a", "b"], ["c|3.png", -1.0, 1], ["x/a 1.png", 1, 1]), "line 3"),
        ("a.jsonl", lines({"path": "c|3.png", "label": ["cat", "dog"]}), "line 1"),
        ("a.json", json.dumps([{"path": "c|3.png", "label": ["cat", "dog"]}]).encode(), "row 1"),
    ],
)
def test_list_several_labels_of_one_image_name_the_option(
    find: Callable[..., Found], name: str, content: bytes, place: str
) -> None:
    with pytest.raises(UsageError, match=rf"{place}: a row has several labels.*--multi-label"):
        find(content, name)


def test_list_one_hot_column_that_is_not_utf8_is_an_error(find: Callable[..., Found]) -> None:
    content = table(["image", "B\u00e4r", "dog"], ["c|3.png", 1, 0]).decode().encode("latin-1")
    for options in ({}, {"label_column": "B\udce4r,dog"}):
        with pytest.raises(UsageError, match=r"label is not valid UTF-8, got .*udce4r; save the"):
            find(content, **options)


@pytest.mark.parametrize("end", ["\n", "\r\n", " \n"], ids=["lf", "crlf", "blank"])
@pytest.mark.parametrize("named", ["", "image_id "])
def test_list_with_the_number_of_its_rows_is_read_as_that_of_celeba(
    root: Path, tmp_path: Path, named: str, end: str
) -> None:
    names = [f"{number:06}.jpg" for number in range(1, 9)]
    for name in names:
        make_file(root, f"img_align_celeba/{name}")
    values = {name: (number & 1, number & 2, number & 4) for number, name in enumerate(names)}
    rows = (f"{name}  " + " ".join(f"{1 if it else -1:2}" for it in values[name]) for name in names)
    content = end.join(["8", f"{named}5_o_Clock_Shadow Bald Young", *rows, ""])
    path = str(make_file(tmp_path, "list_attr_celeba.txt", content.encode()))
    options = ConvertOptions(source=str(root), output="", list=path)
    with pytest.raises(UsageError, match=r"line 6: a row has several labels.*--multi-label"):
        list_sources(options)
    found = list_sources(msgspec.structs.replace(options, multi_label=True))
    assert found.labels == ("5_o_Clock_Shadow", "Bald", "Young")
    assert {image.key.decode()[17:]: image.labels for image in found.images} == {
        name: [label for label, bit in enumerate(bits) if bit] for name, bits in values.items()
    }


@pytest.mark.parametrize(
    ("cell", "labels"),
    [
        ("n01 1 2 3 4", ["n01"]),
        ("n01 1 2 3 4 n01 5 6 7.5 8 ", ["n01"]),
        ("n01 1 2 3 4 n02 -5 6 7 8", ["n01", "n02"]),
        ("", []),
        ("n01 1 2 3", ["n01 1 2 3"]),  # not a class and a box
        ("1.0 1 2 3 4", ["1.0 1 2 3 4"]),  # a score and a box
        ("a red fox at night", ["a red fox at night"]),
    ],
)
def test_list_prediction_string_gives_the_classes_of_the_boxes(
    root: Path, tmp_path: Path, cell: str, labels: list[str]
) -> None:
    content = table(["ImageId", "PredictionString"], ["c|3.png", cell], ["d'4'.png", "n09 1 2 3 4"])
    path = str(make_file(tmp_path, "list.csv", content))
    options = ConvertOptions(source=str(root), output="", list=path, multi_label=True)
    found = list_sources(options)
    image = next(image for image in found.images if image.key == b"c|3.png")
    assert [found.labels[label] for label in image.labels or ()] == labels


def test_list_one_label_in_a_list_is_a_label(find: Callable[..., Found]) -> None:
    found = find(lines({"path": "c|3.png", "label": ["cat"]}), "a.jsonl")
    assert found["c|3.png"][0] == "cat"


def test_list_rows_that_appear_twice_are_one_image(root: Path, tmp_path: Path) -> None:
    rows = [["path", "label"], ["c|3.png", "cat"], ["./c|3.png", " cat"], ["x/../c|3.png", "cat "]]
    path = make_file(tmp_path, "list.csv", table(*rows))
    found = list_sources(ConvertOptions(source=str(root), output="", list=str(path)))
    assert len(found.images) == 1
    assert found.notes == ["the list has 2 rows twice; each image is stored once"]


@pytest.mark.parametrize("column", ["labels", "splits", "groups"])
def test_list_rows_that_contradict_are_refused_with_both_numbers(
    find: Callable[..., Found], column: str
) -> None:
    first = ["c|3.png", "cat", "train", "g"]
    second = list(first)
    second[["labels", "splits", "groups"].index(column) + 1] = "test"
    with pytest.raises(UsageError, match=rf"line 4: two rows of one image.*different {column}.*2"):
        find(table(COLUMNS, first, ROWS[0], second))


def test_list_two_rows_with_different_labels_name_the_option(
    find: Callable[..., Found],
) -> None:
    with pytest.raises(UsageError, match="--multi-label to store all labels"):
        find(table(COLUMNS[:2], ["c|3.png", "cat"], ["c|3.png", "dog"]))


def test_list_backslashes_are_separators_unless_a_file_has_them(
    find: Callable[..., Found], root: Path
) -> None:
    make_file(root, "y\\e.png")
    make_file(root, "y/e.png")
    found = find(table(["path", "label"], ["x\\a 1.png", "cat"], ["y\\e.png", "dog"]))
    assert set(found) == {"x/a 1.png", "y\\e.png"}


@pytest.mark.parametrize("form", ["{root}/{path}", " {path} ", "./{path}", "{root}/x/../{path}"])
def test_list_path_in_any_form_is_relative_to_the_source(
    find: Callable[..., Found], root: Path, form: str
) -> None:
    rows = [(form.format(root=root, path=path), *more) for path, *more in ROWS]
    assert find(table(COLUMNS, *rows)) == expected()


@pytest.mark.parametrize("folder", ["x", "{root}/x"])
def test_list_image_folder_completes_paths_and_ids(
    find: Callable[..., Found], root: Path, folder: str
) -> None:
    make_file(root, "y/a 1.png")
    make_file(root, "x/a 2.jpg")
    content = table(["id", "label"], ["a 1", "cat"], ["a 2", "dog"])
    with pytest.raises(UsageError, match=r"line 2: several images match.*--image-folder x"):
        find(content)
    found = find(content, image_folder=folder.format(root=root))
    assert {key: it[0] for key, it in found.items()} == {"x/a 1.png": "cat", "x/a 2.jpg": "dog"}
    make_file(root, "x/a 2.png")
    with pytest.raises(UsageError, match=r"line 3: several images.*write the extension"):
        find(content, image_folder="x")
    with pytest.raises(ShardmillError, match="--image-folder does not exist"):
        find(content, image_folder="nowhere")
    with pytest.raises(UsageError, match="--image-folder is not below the source"):
        find(content, image_folder=str(root.parent))


def test_list_some_paths_exist_the_others_are_not_searched(root: Path, tmp_path: Path) -> None:
    path = make_file(tmp_path, "list.csv", table(COLUMNS[:2], ["c|3.png", "a"], ["a 1.png", "b"]))
    found = list_sources(ConvertOptions(source=str(root), output="", list=str(path)))
    assert [reject.key for reject in found.rejects] == ["a 1.png"]


def test_list_numbers_are_labels_of_the_label_map(
    find: Callable[..., Found], tmp_path: Path
) -> None:
    labels = str(make_file(tmp_path, "labels.txt", b"cat\ndog\ncow\n"))
    content = table(COLUMNS[:2], ["c|3.png", "2"], ["x/a 1.png", "0.0"])
    found = {key: it[0] for key, it in find(content, labels=labels).items()}
    assert found == {"c|3.png": "cow", "x/a 1.png": "cat"}
    with pytest.raises(UsageError, match=r"--labels lacks a class of the source.*got 3"):
        find(table(COLUMNS[:2], ["c|3.png", "3"]), labels=labels)
    names = str(make_file(tmp_path, "names.txt", b"2\n0\n1\n"))
    content = table(COLUMNS[:2], ["c|3.png", "2"], ["x/a 1.png", "0"])
    found = {key: it[0] for key, it in find(content, labels=names).items()}
    assert found == {"c|3.png": "2", "x/a 1.png": "0"}


def hostile() -> Iterator[tuple[str, bytes]]:
    """Yield lists whose size is in one place."""
    yield "a.csv", b"path,label\n" + b"a.png,cat\n" * 50_000
    yield "a.csv", b"path,label\n" + b"".join(b"%d.png,%d\n" % (n, n) for n in range(25_000))
    yield "a.csv", b"id,label\n" + b"a,cat\n" * 50_000
    yield "a.csv", b",".join(b"c%d" % n for n in range(25_000)) + b"\n" + b"1," * 49_999 + b"1\n"
    yield "a.csv", b"path," + b"0," * 50_000 + b"0\n"
    yield "a.csv", b"|" * 2_000_000
    yield "a.csv", b"\n" * 2_000_000
    yield "a.csv", b"'" * 2_000_000
    yield "a.csv", b"a.png " * 200_000
    yield "a.csv", b"sep=\n" * 200_000
    yield "a.csv", b"path,label\n" + b"\\" * 4000 + b",cat\n"
    yield "a.csv", b"path,label\n" + (b"a\\" * 2000 + b",cat\n") * 500
    yield "a.jsonl", b"".join(b'{"path":"%d.png","k%d":1}\n' % (n, n) for n in range(10_000))
    yield "a.json", b"[" + b'{"path":"a.png"},' * 50_000 + b'{"path":"a.png"}]'
    yield "a.json", b'{"' + b'a.png":1,"'.join(b"%d" % n for n in range(25_000)) + b'a.png":1}'
    yield "a.json", b'{"images":[' + b"{}," * 50_000 + b'{}],"annotations":[]}'
    yield "a.json", b'[{"data":{},"annotations":[' + b"{}," * 50_000 + b"{}]}]"
    yield "a.json", b"[" * 1_000_000
    yield "a.parquet", parquet({"path": ["a.png"] * 50_000, "label": ["c"] * 50_000})
    yield "a.parquet", parquet({f"c{n}": ["1"] for n in range(1000)})


@pytest.mark.parametrize(("name", "content"), list(hostile()), ids=lambda it: str(it[:12]))
def test_list_hostile_content_is_read_in_linear_time(
    root: Path, tmp_path: Path, name: str, content: bytes
) -> None:
    path = str(make_file(tmp_path, name, content))
    options = ConvertOptions(source=str(root), output="", list=path)
    assert processor_seconds(lambda: list_sources(options)) < 10
