from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

import pytest
from fsspec.implementations.memory import MemoryFile

from pipelines.options import ConvertOptions
from pipelines.sources import Sources, list_sources
from pipelines.sources.reader import LocalFiles, UnreadableError
from records.errors import InputNotFoundError, StorageError, UsageError
from tests.pipelines.conftest import Find
from tests.pipelines.pictures import PICTURE, make_file, make_picture


def labelled(found: Sources) -> dict[bytes, str]:
    return {image.key: found.labels[image.label] for image in found.images}


def rejected(found: Sources) -> list[tuple[str, str | None, str]]:
    return sorted((reject.key, reject.class_name, reject.reason) for reject in found.rejects)


def test_image_folder_one_folder_per_class_gives_labels(root: Path, find: Find) -> None:
    for key in ("dog/1.png", "cat/deep/2.png", "cat/3.jpg"):
        make_file(root, key)
    found = find()
    assert (found.layout, found.labels) == ("classes", ("cat", "dog"))
    assert labelled(found) == {b"dog/1.png": "dog", b"cat/deep/2.png": "cat", b"cat/3.jpg": "cat"}
    assert found.notes == [
        "subfolders of class folders do not count as classes; they contain 1 image"
    ]
    assert {image.split for image in found.images} == {None}


def test_image_folder_10000_files_of_all_kinds_are_each_placed(
    root: Path, find: Find, tmp_path: Path
) -> None:
    """More files than a batch has; among the images are files of each other outcome."""
    images = {f"{name}/{number}.png" for name in ("cat", "dog") for number in range(4990)}
    others = {"cat/100.txt", "cat/.hidden.png", "dog/Thumbs.db", "dog/5.gone", "loose.png"}
    for name in ("cat", "dog"):
        (root / name).mkdir(parents=True)
    for key in images | others:
        (root / key).touch()
    (root / "dog" / "5.png").unlink()
    (root / "dog" / "5.png").symlink_to("nowhere")
    (root / "dog" / "6.png").unlink()
    (root / "dog" / "6.png").symlink_to("../cat/6.png")
    exclude = make_file(tmp_path, "exclude.txt", b"cat/7.png\ndog/5.gone\n")
    found = find(exclude=str(exclude), group_by="parent", layout="classes")
    expected = images - {"dog/5.png", "cat/7.png"}
    assert labelled(found) == {key.encode(): key.partition("/")[0] for key in expected}
    assert {image.group for image in found.images} == {b"cat", b"dog"}
    assert [image.key for image in found.images if image.linked] == [b"dog/6.png"]
    assert {(file.key, file.reason) for file in found.left_out} == {
        ("cat/100.txt", "not-an-image"),
        ("cat/.hidden.png", "hidden"),
        ("dog/Thumbs.db", "system"),
        ("cat/7.png", "excluded-key"),
        ("dog/5.gone", "excluded-key"),
    }
    assert rejected(found) == [
        ("dog/5.png", "dog", "unreadable"),
        ("loose.png", None, "no-class"),
    ]


def test_image_folder_excluded_file_is_not_read(
    root: Path, find: Find, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in ("cat/1.png", "cat/no-extension"):
        make_file(root, key)
    exclude = make_file(tmp_path, "exclude.txt", b"cat/no-extension\n")

    def fail(*_: object, **__: object) -> bytes:
        raise AssertionError

    monkeypatch.setattr(LocalFiles, "read_head", fail)
    found = find(exclude=str(exclude))
    assert (len(found.images), found.excluded) == (1, 1)


def test_image_folder_split_folders_give_splits_and_labels(root: Path, find: Find) -> None:
    for key in ("Train/cat/1.png", "TEST/cat/1.png", "val/dog/1.png"):
        make_file(root, key)
    make_file(root, "train.txt", b"text")
    found = find()
    assert (found.layout, found.labels, found.skipped) == ("splits", ("cat", "dog"), 1)
    splits = {image.key: image.split for image in found.images}
    assert splits == {
        b"Train/cat/1.png": "train",
        b"TEST/cat/1.png": "test",
        b"val/dog/1.png": "validation",
    }


def test_image_folder_explicit_layout_overrides_detection(root: Path, find: Find) -> None:
    make_file(root, "train/cat/1.png")
    make_file(root, "test/cat/2.png")
    assert find(layout="classes").labels == ("test", "train")
    make_file(root, "other/cat/3.png")
    with pytest.raises(UsageError, match="look like splits"):
        find()
    assert find(layout="classes").labels == ("other", "test", "train")
    with pytest.raises(UsageError, match="got other"):
        find(layout="splits")


def test_image_folder_extension_or_content_selects_images(root: Path, find: Find) -> None:
    for name in ("a.png", "b.JPG", "c.jpeg", "d.webp", "e.heic", "f.eps"):
        make_file(root, f"cat/{name}", b"not one")  # the extension suffices
    for name in ("g", "h.txt", "i.jpg.bak"):
        make_file(root, f"cat/{name}", PICTURE)  # so is the content
    for name in ("j", "k.txt", "l.csv", "Thumbs.db", ".m.png"):
        make_file(root, f"cat/{name}", b"not one")
    make_file(root, "cat/n", b"")
    found = find()
    assert sorted(key.decode()[4:5] for key in labelled(found)) == list("abcdefghi")
    assert (found.skipped, found.rejects) == (6, [])


@pytest.mark.parametrize("name", [b"new\nline", b" ", b"tab\tbed", b"\xc2\x85"])
@pytest.mark.parametrize("split", [b"", b"train/"])
def test_image_folder_without_valid_class_name_is_rejected_by_key(
    root: Path, find: Find, name: bytes, split: bytes
) -> None:
    make_file(root, split + b"cat/1.png")
    make_file(root, split + name + b"/1.png")
    found = find()
    assert found.labels == ("cat",)
    assert rejected(found) == [(os.fsdecode(split + name + b"/1.png"), None, "no-class")]


@pytest.mark.parametrize("layout", ["auto", "classes", "splits"])
@pytest.mark.parametrize("key", ["/train/rose/x.png", "train//x.png", "train/rose//x.png"])
def test_image_folder_remote_key_with_empty_part_is_rejected_by_key(
    memory: Any, key: str, layout: Literal["auto", "classes", "splits"]
) -> None:
    for name in ("train/cat/1.png", key, "train/cat/", "train/dog/"):
        memory.store[f"/photos/{name}"] = MemoryFile(memory, f"/photos/{name}", b"abc")
    found = list_sources(ConvertOptions(source="memory://photos", output="", layout=layout))
    assert (len(found.images), found.skipped) == (1, 2)
    assert [(text, reason) for text, _, reason in rejected(found)] == [(key, "unreadable")]


def test_image_folder_unreadable_file_without_extension_is_skipped(
    root: Path, find: Find, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_file(root, "cat/notes")
    make_file(root, "cat/1.png")

    def read_head(_self: LocalFiles, key: bytes, *, linked: bool) -> bytes:
        raise UnreadableError("Permission denied")

    monkeypatch.setattr(LocalFiles, "read_head", read_head)
    assert find().skipped == 1


def test_image_folder_too_many_open_files_raises_storage_error(
    root: Path, find: Find, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_file(root, "cat/1")

    def exhausted(*_: object, **__: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("pipelines.sources.reader.read_local_file", exhausted)
    with pytest.raises(StorageError, match="Too many open files"):
        find()


def test_image_folder_image_outside_class_folder_is_rejected(root: Path, find: Find) -> None:
    make_file(root, "loose.png", b"abc")
    make_file(root, "cat/1.png")
    make_file(root, "readme.txt", b"text")
    found = find()
    assert rejected(found) == [("loose.png", None, "no-class")]
    assert (found.rejects[0].bytes, found.skipped) == (3, 1)


def test_image_folder_image_directly_in_split_folder_is_rejected(root: Path, find: Find) -> None:
    make_file(root, "train/loose.png")
    make_file(root, "train/cat/1.png")
    assert rejected(find()) == [("train/loose.png", None, "no-class")]


def test_image_folder_broken_symlinks_are_rejected_as_unreadable(root: Path, find: Find) -> None:
    make_file(root, "cat/1.png")
    (root / "cat" / "2.png").symlink_to("nowhere")
    (root / "dogs").symlink_to("/nowhere/dogs")
    found = find()
    assert rejected(found) == [("cat/2.png", "cat", "unreadable"), ("dogs", None, "unreadable")]


def test_image_folder_symlink_out_of_source_requires_follow_symlinks(
    root: Path, find: Find, tmp_path: Path
) -> None:
    outside = make_file(tmp_path / "pool", "x.png")
    make_file(root, "cat/1.png")
    (root / "cat" / "2.png").symlink_to(outside)
    with pytest.raises(UsageError, match=r"1 symbolic link to .*cat/2\.png.*--follow-symlinks"):
        find()
    assert len(find(follow_symlinks=True).images) == 2
    exclude = make_file(tmp_path, "exclude.txt", b"cat/2.png\n")
    found = find(exclude=str(exclude))
    assert (len(found.images), found.excluded, found.notes) == (1, 1, [])


def test_image_folder_empty_class_keeps_its_label(root: Path, find: Find) -> None:
    make_file(root, "cat/1.png")
    make_file(root, "dog/1.png")
    (root / "cow").mkdir()
    found = find()
    assert found.labels == ("cat", "cow", "dog")


def test_image_folder_single_class_with_subfolders_is_noted(root: Path, find: Find) -> None:
    make_file(root, "photos/cat/1.png")
    make_file(root, "photos/dog/1.png")
    assert "the only class is photos" in find().notes[-1]


@pytest.mark.parametrize("name", [b"a b", b"[1]", b"100%", b"\xff\xfe", b"-n", "é".encode()])
def test_image_folder_names_of_any_bytes_become_keys(root: Path, find: Find, name: bytes) -> None:
    make_file(root, name + b"/" + name + b".png")
    (image,) = find().images
    assert image.key == name + b"/" + name + b".png"


@pytest.mark.parametrize("names", [("é", "e\u0301"), ("bad\nname",), ("esc\x1b[0m",)])
def test_image_folder_invalid_class_names_are_refused_with_printable_error(
    root: Path, find: Find, names: tuple[str, ...]
) -> None:
    for name in names:
        make_file(root, f"{name}/1.png")
    with pytest.raises(UsageError) as caught:
        find()
    assert str(caught.value).isprintable()


def test_image_folder_empty_folder_is_refused(root: Path, find: Find) -> None:
    with pytest.raises(InputNotFoundError, match="source is empty"):
        find()
    make_file(root, ".DS_Store")
    with pytest.raises(InputNotFoundError, match="only 1 hidden or system file"):
        find()


def test_image_folder_no_class_folders_is_refused(root: Path, find: Find) -> None:
    make_file(root, "1.png")
    with pytest.raises(UsageError, match="one folder per class"):
        find()


def test_image_folder_url_lists_same_images_as_local_folder(
    memory: Any, root: Path, find: Find
) -> None:
    for number, key in enumerate(("cat/1.png", "cat/x/2", "dog/3.jpg", "4.png", "dog/notes.txt")):
        content = b"text" if key.endswith("txt") else make_picture(number)
        make_file(root, key, content)
        memory.pipe_file(f"/photos/{key}", content)
    local = find()
    remote = list_sources(ConvertOptions(source="memory://photos", output=""))
    assert labelled(remote) == labelled(local)
    assert rejected(remote) == rejected(local)
    assert (remote.labels, remote.skipped) == (local.labels, local.skipped)


def test_image_folder_empty_url_is_refused(memory: Any) -> None:
    with pytest.raises(InputNotFoundError):
        list_sources(ConvertOptions(source="memory://nothing", output=""))
