from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.sources import Sources
from pipelines.sources.class_map import read_class_map
from records.errors import InputNotFoundError, UsageError
from tests.pipelines.pictures import make_file

Find = Callable[..., Sources]
NFC, NFD = "é", "e\N{COMBINING ACUTE ACCENT}"
IMAGES = ("cat/1.png", "kitten/2.png", "dog/3.png", "junk/4.png")


def labelled(found: Sources) -> dict[str, str]:
    return {image.key.decode(): found.labels[image.label] for image in found.images}


@pytest.fixture(params=["folder", "list"])
def convert(request: pytest.FixtureRequest, root: Path, find: Find, tmp_path: Path) -> Find:
    """Return a function that lists four images of four classes, of folders or of a list."""
    for key in IMAGES:
        make_file(root, key)
    if request.param == "folder":
        return find
    rows = "".join(f"{key},{key.partition('/')[0]}\n" for key in IMAGES)
    path = str(make_file(tmp_path, "list.csv", f"path,label\n{rows}".encode()))
    return lambda **options: find(list=path, **options)


@pytest.mark.parametrize(
    "given",
    [
        ("kitten=cat", "junk=", "dog=Hund"),
        {"kitten": "cat", "junk": None, "dog": "Hund"},
        {"kitten": "cat", "junk": "", "dog": " Hund "},
    ],
    ids=str,
)
def test_map_renames_merges_and_drops_classes(convert: Find, given: Any) -> None:
    found = convert(map=given)
    assert found.labels == ("Hund", "cat")
    assert labelled(found) == {"cat/1.png": "cat", "kitten/2.png": "cat", "dog/3.png": "Hund"}
    assert (found.excluded, found.rejects, found.notes) == (1, [], [])


def test_map_swaps_names(convert: Find) -> None:
    found = convert(map=("cat=dog", "dog=cat", "kitten=", "junk="))
    assert labelled(found) == {"cat/1.png": "dog", "dog/3.png": "cat"}


def test_map_takes_the_name_of_a_dropped_class(convert: Find) -> None:
    found = convert(map=("cat=junk", "junk="))
    assert labelled(found)["cat/1.png"] == "junk"
    assert "junk/4.png" not in labelled(found)


def test_map_classes_and_labels_options_name_the_new_classes(convert: Find, tmp_path: Path) -> None:
    assert convert(map=("kitten=cat",), classes=("cat",)).labels == ("cat",)
    labels = str(make_file(tmp_path, "labels.txt", b"pet\njunk\n"))
    found = convert(map=("kitten=pet", "cat=pet", "dog=pet"), labels=labels)
    assert found.labels == ("pet", "junk")


def test_map_that_drops_every_class_is_refused(convert: Find) -> None:
    with pytest.raises(UsageError, match="--map drops every class"):
        convert(map=("cat=", "kitten=", "dog=", "junk="))


def test_map_unknown_class_is_refused_by_name(convert: Find) -> None:
    with pytest.raises(UsageError, match=r"expected cat, dog, junk, kitten, got cow"):
        convert(map=("cow=cat",))


@pytest.mark.parametrize(
    "content",
    [
        "kitten=cat\njunk=\ncow=x\n",
        "kitten,cat\r\njunk,\r\ncow,x\r\n",
        "old;new\nkitten;cat\njunk;\ncow;x\n",
        "kitten\tcat\njunk\t\ncow\tx",
        '"kitten","cat"\n"junk",""\n"cow","x"\n',
        '{"kitten": "cat", "junk": null, "cow": "x"}',
    ],
)
def test_map_file_in_any_form_is_read_and_absent_classes_are_noted(
    convert: Find, tmp_path: Path, content: str
) -> None:
    found = convert(map=(str(make_file(tmp_path, "map", content.encode())),))
    assert found.labels == ("cat", "dog")
    assert found.notes == ["--map has 1 class not found in the source: cow"]


@pytest.mark.parametrize(
    ("given", "word"),
    [
        (("cat=a", "cat=b"), "the class cat has two new names, got a and b"),
        (("cat=a", "cat="), "two new names, got a and no class"),
        (({NFC: "a", NFD: "b"}), "two new names"),
    ],
)
def test_map_two_new_names_are_refused(given: Any, word: str) -> None:
    with pytest.raises(UsageError, match=word):
        read_class_map(given)


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"cat\n", "line 1: a line of --map"),
        (b"cat,dog\na,b,c\n", "line 2: a line of --map"),
        (b'cat,dog\n"a,b\n', "line 2: a file of --map is not valid CSV"),
        (b'{"cat": 3}', "must be an object of old and new names"),
        (b'{"cat": "a", "cat": "b"}', "twice"),
        (b"cat=caf\xe9\n", "not valid UTF-8"),
    ],
)
def test_map_invalid_file_is_refused_with_its_place(
    tmp_path: Path, content: bytes, word: str
) -> None:
    with pytest.raises(UsageError, match=word):
        read_class_map((str(make_file(tmp_path, "map", content)),))


def test_map_file_not_found_is_refused() -> None:
    with pytest.raises(InputNotFoundError, match="nowhere"):
        read_class_map("nowhere")


def test_leaf_class_is_the_innermost_folder(root: Path, find: Find) -> None:
    for key in ("animals/pets/cat/1.png", "animals/dog/2.png", "plants/cat/3.png", "4.png"):
        make_file(root, key)
    make_file(root, "animals/notes.txt", b"text")
    found = find(leaf_class=True)
    assert labelled(found) == {
        "animals/pets/cat/1.png": "cat",
        "animals/dog/2.png": "dog",
        "plants/cat/3.png": "cat",
    }
    assert found.notes == []
    assert [reject.key for reject in found.rejects] == ["4.png"]
    assert find(leaf_class=True, map=("dog=cat",)).labels == ("cat",)


def test_leaf_class_below_split_folders_keeps_the_splits(root: Path, find: Find) -> None:
    for key in ("Training/a/cat/1.png", "Testing/b/dog/2.png"):
        make_file(root, key)
    found = find(leaf_class=True)
    assert labelled(found) == {"Training/a/cat/1.png": "cat", "Testing/b/dog/2.png": "dog"}
    assert {image.split for image in found.images} == {"train", "test"}
