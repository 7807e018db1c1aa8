from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.options import ConvertOptions
from pipelines.sources import Sources, list_sources
from records.errors import InputNotFoundError, UsageError
from tests.pipelines.pictures import PICTURE, make_file

Find = Callable[..., Sources]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for key in ("a.png", "x/b.png", "x/c.png", "notes.txt", "-d.png"):
        make_file(tmp_path / "photos", key)
    return tmp_path / "photos"


@pytest.fixture
def find(root: Path, tmp_path: Path) -> Find:
    def find_now(content: str, **options: Any) -> Sources:
        path = make_file(tmp_path, "list.csv", content.encode("utf-8", "surrogateescape"))
        given = {"source": str(root), "output": "", "list": str(path), **options}
        found = list_sources(ConvertOptions(**given))
        parts = (len(found.images), len(found.rejects), found.skipped, found.excluded)
        assert found.found == sum(parts)
        return found

    return find_now


def test_image_list_each_row_gives_label_split_and_group(find: Find) -> None:
    found = find("path,label,split,group\na.png,dog,,\nx/b.png,cat,test,p1\n-d.png,dog,train,\n")
    assert (found.labels, found.layout) == (("cat", "dog"), None)
    assert {i.key: (i.label, i.split, i.group) for i in found.images} == {
        b"a.png": (1, None, None),
        b"x/b.png": (0, "test", b"p1"),
        b"-d.png": (1, "train", None),
    }
    assert {image.size_bytes for image in found.images} == {len(PICTURE)}


def test_image_list_missing_file_or_label_is_rejected(find: Find, root: Path) -> None:
    found = find("path,label\na.png,cat\ngone.png,cat\nx,cat\nx/b.png,\n")
    assert sorted((r.key, r.class_name, r.reason) for r in found.rejects) == [
        ("gone.png", "cat", "unreadable"),
        ("x", "cat", "unreadable"),
        ("x/b.png", None, "no-class"),
    ]


@pytest.mark.parametrize(
    ("labels", "noted"),
    [
        (("cat", "dog", "cat|dog"), "cat|dog is one class: .* --label-separator '\\|'"),
        (("cat;dog", "dog; cow", "cow;cat"), "cat;dog is one class: .* --label-separator ';'"),
        (("cat|black", "dog|white", "cow"), None),
        (("cat, black", "dog, black", "cat, white"), None),
    ],
)
def test_image_list_label_of_parts_that_are_labels_is_noted(
    find: Find, labels: tuple[str, ...], noted: str | None
) -> None:
    keys = ("a.png", "x/b.png", "x/c.png")
    rows = "".join(f'{key},"{label}"\n' for key, label in zip(keys, labels, strict=True))
    notes = [note for note in find(f"path,label\n{rows}").notes if "--label-separator" in note]
    assert len(notes) == (noted is not None)
    assert noted is None or re.match(noted, notes[0])


def test_image_list_classes_and_exclude_options_exclude_rows(find: Find, tmp_path: Path) -> None:
    exclude = make_file(tmp_path, "exclude.txt", b"a.png\nnot-listed.png\n")
    rows = "path,label\na.png,cat\nx/b.png,cat\nx/c.png,dog\n"
    found = find(rows, classes=("cat",), exclude=str(exclude))
    assert ([i.key for i in found.images], found.excluded) == ([b"x/b.png"], 2)
    assert found.notes == ["--exclude lists 1 key not found in the source"]


def test_image_list_rows_that_are_left_out_are_listed_with_their_reason(
    find: Find, tmp_path: Path
) -> None:
    exclude = make_file(tmp_path, "exclude.txt", b"x/c.png\n")
    rows = "ImageID,Source,LabelName,Confidence\n" + "".join(
        f"{row}\n"
        for row in (
            "a.png,human,cat,1",
            "a.png,human,dog,0",  # the image has another label
            "-d.png,human,cat,0",
            "-d.png,human,dog,0",
            "x/b.png,human,cow,1",
            "x/c.png,human,dog,0",
            "gone.png,human,,1",
        )
    )
    found = find(rows, classes=("cat",), exclude=str(exclude))
    assert [image.key for image in found.images] == [b"a.png"]
    assert [reject.key for reject in found.rejects] == ["gone.png"]
    assert {file.key: (file.outcome, file.reason) for file in found.left_out} == {
        "-d.png": ("skipped", "not-confirmed"),
        "x/b.png": ("excluded", "excluded-class"),
        "x/c.png": ("excluded", "excluded-key"),
    }
    assert [file.detail for file in found.left_out][1].endswith(" cow")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("path,label\na.png,\n", "in the column label, got 1 row without a label"),
        ("path,label,note\na.png, ,x\nx/b.png,,y\n", "got 2 rows .* --label-column NAME; .* note"),
        ("ImageID,Source,LabelName,Confidence\na.png,human,cat,0\n", "in the column LabelName"),
    ],
)
def test_image_list_without_any_label_names_the_column_and_the_option(
    find: Find, content: str, message: str
) -> None:
    with pytest.raises(UsageError, match=f"no row of the list has a label.*{message}"):
        find(content)
    rows = "path,cat,dog\na.png,0,0\n"
    with pytest.raises(UsageError, match="expected a 1 in one of the one-hot columns"):
        find(rows, label_column="cat,dog")


def test_image_list_label_map_assigns_labels_and_refuses_unknown_class(
    find: Find, tmp_path: Path
) -> None:
    labels = make_file(tmp_path, "labels.txt", b"dog\ncat\n")
    (image,) = find("path,label\na.png,cat\n", labels=str(labels)).images
    assert image.label == 1
    with pytest.raises(UsageError, match="got cow"):
        find("path,label\na.png,cow\n", labels=str(labels))


@pytest.mark.parametrize("options", [{"test": 2}, {"test": 0.5, "stratify": True}])
def test_image_list_groups_with_exact_counts_or_stratify_are_refused(
    find: Find, options: dict[str, Any]
) -> None:
    with pytest.raises(UsageError, match="groups are never divided"):
        find("path,label,group\na.png,cat,g\n", **options)


def test_image_list_row_without_group_uses_group_by(find: Find) -> None:
    found = find("path,label,group\na.png,cat,\nx/b.png,cat,\nx/c.png,cat,own\n", group_by="parent")
    assert {i.key: i.group for i in found.images} == {
        b"a.png": b"",
        b"x/b.png": b"x",
        b"x/c.png": b"own",
    }


def test_image_list_group_of_any_bytes_is_kept(find: Find) -> None:
    (image,) = find("path,label,group\na.png,cat,caf\udce9\n").images
    assert image.group == b"caf\xe9"


def test_image_list_symlink_out_of_source_requires_follow_symlinks(
    find: Find, root: Path, tmp_path: Path
) -> None:
    (root / "link.png").symlink_to(make_file(tmp_path, "outside.png"))
    (root / "folder").symlink_to(tmp_path)
    for path in ("link.png", "folder/outside.png"):
        with pytest.raises(UsageError, match="--follow-symlinks"):
            find(f"path,label\n{path},cat\n")
        assert len(find(f"path,label\n{path},cat\n", follow_symlinks=True).images) == 1


def test_image_list_urls_are_listed_and_missing_ones_rejected(
    find: Find, tmp_path: Path, memory: Any
) -> None:
    memory.pipe_file("/pool/m.png", b"abc")
    make_file(tmp_path, "a b#c.png", b"abcd")
    rows = [
        "memory://pool/m.png,cat",
        f"file://{tmp_path}/a%20b%23c.png,cat",
        "memory://pool/gone.png,cat",
        f"file://{tmp_path}/gone.png,cat",
    ]
    found = find("\n".join(["path,label", *rows]), allow_url=True)
    assert sorted(image.size_bytes for image in found.images) == [3, 4]
    assert {reject.reason for reject in found.rejects} == {"unreadable"}
    assert len(found.rejects) == 2


def test_image_list_without_rows_is_refused(find: Find) -> None:
    with pytest.raises(InputNotFoundError, match="list is empty"):
        find("path,label\n")


def test_image_list_source_url_resolves_relative_paths(find: Find, memory: Any) -> None:
    memory.pipe_file("/photos/a.png", b"abc")
    found = find("path,label\na.png,cat\ngone.png,cat\n", source="memory://photos")
    assert ([i.key for i in found.images], [r.key for r in found.rejects]) == (
        [b"a.png"],
        ["gone.png"],
    )
    with pytest.raises(UsageError, match="leads out of the source"):
        find("path,label\n/a.png,cat\n", source="memory://photos")
