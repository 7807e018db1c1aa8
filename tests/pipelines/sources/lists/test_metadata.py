from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.sources import Sources
from records.errors import UsageError
from tests.pipelines.pictures import PICTURE, make_file
from tests.pipelines.sources.lists.shapes import lines, parquet, table

Find = Callable[..., Sources]


def labelled(found: Sources) -> dict[str, str]:
    return {image.key.decode(): found.labels[image.label] for image in found.images}


def write(root: Path, name: str, *rows: tuple[str, str], columns: str = "file_name,label") -> None:
    names = columns.split(",")
    objects = [dict(zip(names, row, strict=True)) for row in rows]
    content = {
        "csv": table(names, *rows),
        "jsonl": lines(*objects),
        "parquet": parquet({name: [it[name] for it in objects] for name in names}),
    }[name.rpartition(".")[2]]
    make_file(root, name, content)
    for file, _ in rows:
        make_file(root, f"{name.rpartition('/')[0]}/{file}".lstrip("/"))


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("folder", ["", "images/"])
def test_metadata_in_the_source_is_found(root: Path, find: Find, kind: str, folder: str) -> None:
    write(root, f"metadata.{kind}", (f"{folder}1.png", "a"), (f"{folder}2.png", "b"))
    found = find()
    assert labelled(found) == {f"{folder}1.png": "a", f"{folder}2.png": "b"}
    assert found.understood == "labels from column `label`, 2 classes; images `<file_name>`"


def test_metadata_in_split_folders_gives_the_splits(root: Path, find: Find) -> None:
    write(root, "train/metadata.csv", ("1.png", "a"), ("img/2.png", "b"))
    write(root, "validation/metadata.jsonl", ("1.png", "b"))
    found = find()
    assert {it.key: (found.labels[it.label], it.split) for it in found.images} == {
        b"train/1.png": ("a", "train"),
        b"train/img/2.png": ("b", "train"),
        b"validation/1.png": ("b", "validation"),
    }


def test_metadata_of_a_url_is_found(find: Find, memory: Any) -> None:
    memory.pipe_file("/pool/metadata.csv", b"file_name,label\n1.png,a\n2.png,b\n")
    for name in ("1.png", "2.png"):
        memory.pipe_file(f"/pool/{name}", PICTURE)
    assert labelled(find(source="memory://pool")) == {"1.png": "a", "2.png": "b"}


def test_metadata_next_to_class_folders_is_not_used(root: Path, find: Find) -> None:
    write(root, "metadata.csv", ("cat/1.png", "x"), ("dog/2.png", "y"))
    found = find()
    assert labelled(found) == {"cat/1.png": "cat", "dog/2.png": "dog"}
    (note,) = found.notes
    assert note.endswith(f"instead: --list {root}/metadata.csv")
    assert labelled(find(label_column="label")) == {"cat/1.png": "x", "dog/2.png": "y"}


def test_metadata_without_a_label_names_the_option(root: Path, find: Find) -> None:
    columns = "file_name,caption,source"
    names = columns.split(",")
    make_file(root, "metadata.csv", table(names, ["1.png", "a cat", "web"]))
    make_file(root, "1.png")
    with pytest.raises(UsageError, match=r"metadata\.csv.*pass --label-column NAME"):
        find()
    assert find(label_column="source").labels == ("web",)


def test_metadata_without_file_names_is_an_ordinary_file(root: Path, find: Find) -> None:
    make_file(root, "metadata.csv", b"camera,label\nx,y\n")
    make_file(root, "cat/1.png")
    assert labelled(find()) == {"cat/1.png": "cat"}


@pytest.mark.parametrize(
    "option", [{"label_column": "x"}, {"path_column": "x"}, {"image_folder": "x"}], ids=str
)
def test_column_options_without_a_list_are_refused(
    root: Path, find: Find, option: dict[str, str]
) -> None:
    make_file(root, "cat/1.png")
    with pytest.raises(UsageError, match="--list FILE"):
        find(**option)


def test_metadata_next_to_image_folder_option_is_no_list(root: Path, find: Find) -> None:
    write(root, "metadata.csv", ("1.png", "a"), ("2.png", "b"))
    with pytest.raises(UsageError, match="there is no list, got --image-folder; add --list FILE"):
        find(image_folder="images")


def test_metadata_without_rows_next_to_a_class_folder_is_ignored(root: Path, find: Find) -> None:
    make_file(root, "cat/1.png")
    write(root, "metadata.csv")
    assert labelled(find()) == {"cat/1.png": "cat"}


def test_classes_csv_of_roboflow_is_found_and_can_be_the_list(root: Path, find: Find) -> None:
    path = make_file(root, "_classes.csv", b"filename, Bus, Car\na.jpg, 0, 1\nb.jpg, 1, 1\n")
    for name in ("a.jpg", "b.jpg"):
        make_file(root, name)
    for options in ({}, {"list": str(path)}):
        with pytest.raises(UsageError, match=r"_classes\.csv line 3.*--multi-label"):
            find(**options)
        found = find(multi_label=True, **options)
        assert [(it.key, it.labels) for it in found.images] == [(b"a.jpg", [1]), (b"b.jpg", [0, 1])]
