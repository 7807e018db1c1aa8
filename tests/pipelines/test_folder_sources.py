from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.options import ConvertOptions
from pipelines.source_files import LocalFiles, UnreadableError
from pipelines.sources import Sources, find_sources
from records.errors import NoInputError, StorageError, UsageError
from tests.pipelines.pictures import PICTURE, make_file, make_picture

Find = Callable[..., Sources]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    return folder


@pytest.fixture
def find(root: Path, tmp_path: Path) -> Find:
    def find_now(**options: Any) -> Sources:
        found = find_sources(ConvertOptions(source=str(root), target="", **options))
        parts = (len(found.images), len(found.rejects), found.skipped, found.excluded)
        assert found.found == sum(parts)
        return found

    return find_now


def labelled(found: Sources) -> dict[bytes, str]:
    return {image.key: found.labels[image.label] for image in found.images}


def rejected(found: Sources) -> list[tuple[str, str | None, str]]:
    return sorted((reject.key, reject.class_name, reject.reason) for reject in found.rejects)


def test_a_folder_a_class(root: Path, find: Find) -> None:
    for key in ("dog/1.png", "cat/deep/2.png", "cat/3.jpg"):
        make_file(root, key)
    found = find()
    assert (found.layout, found.labels) == ("classes", ("cat", "dog"))
    assert labelled(found) == {b"dog/1.png": "dog", b"cat/deep/2.png": "cat", b"cat/3.jpg": "cat"}
    assert found.notes == ["1 images lie in folders below a class folder and count as that class"]
    assert {image.split for image in found.images} == {None}


def test_splits_with_classes_in_them(root: Path, find: Find) -> None:
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


def test_the_layout_may_be_said(root: Path, find: Find) -> None:
    make_file(root, "train/cat/1.png")
    make_file(root, "test/cat/2.png")
    assert find(layout="classes").labels == ("test", "train")
    make_file(root, "other/cat/3.png")
    assert find().labels == ("other", "test", "train")
    with pytest.raises(UsageError, match="got other"):
        find(layout="splits")


def test_what_is_an_image(root: Path, find: Find) -> None:
    for name in ("a.png", "b.JPG", "c.jpeg", "d.webp", "e.heic", "f.eps"):
        make_file(root, f"cat/{name}", b"not one")  # the extension is enough to be looked at
    for name in ("g", "h.txt", "i.jpg.bak"):
        make_file(root, f"cat/{name}", PICTURE)  # so is the content
    for name in ("j", "k.txt", "l.csv", "Thumbs.db", ".m.png"):
        make_file(root, f"cat/{name}", b"not one")
    make_file(root, "cat/n", b"")
    found = find()
    assert sorted(key.decode()[4:5] for key in labelled(found)) == list("abcdefghi")
    assert (found.skipped, found.rejects) == (6, [])


def test_a_file_that_cannot_be_read_and_has_no_images_name_is_none(
    root: Path, find: Find, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_file(root, "cat/notes")
    make_file(root, "cat/1.png")

    def read_head(_self: LocalFiles, key: bytes) -> bytes:
        raise UnreadableError("Permission denied")

    monkeypatch.setattr(LocalFiles, "read_head", read_head)
    assert find().skipped == 1


def test_limits_of_this_process_end_it(
    root: Path, find: Find, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_file(root, "cat/1")

    def exhausted(*_: object, **__: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("pipelines.source_files.open", exhausted, raising=False)
    with pytest.raises(StorageError, match="Too many open files"):
        find()


def test_loose_images_have_no_class(root: Path, find: Find) -> None:
    make_file(root, "loose.png", b"abc")
    make_file(root, "cat/1.png")
    make_file(root, "readme.txt", b"text")
    found = find()
    assert rejected(found) == [("loose.png", None, "no-class")]
    assert (found.rejects[0].bytes, found.skipped) == (3, 1)


def test_loose_images_in_a_split_too(root: Path, find: Find) -> None:
    make_file(root, "train/loose.png")
    make_file(root, "train/cat/1.png")
    assert rejected(find()) == [("train/loose.png", None, "no-class")]


def test_broken_links_are_unreadable(root: Path, find: Find) -> None:
    make_file(root, "cat/1.png")
    (root / "cat" / "2.png").symlink_to("nowhere")
    (root / "dogs").symlink_to("/nowhere/dogs")
    found = find()
    assert rejected(found) == [("cat/2.png", "cat", "unreadable"), ("dogs", None, "unreadable")]


def test_links_out_of_the_source(root: Path, find: Find, tmp_path: Path) -> None:
    outside = make_file(tmp_path / "pool", "x.png")
    make_file(root, "cat/1.png")
    (root / "cat" / "2.png").symlink_to(outside)
    with pytest.raises(UsageError, match=r"1 symbolic links.*cat/2\.png.*--follow-symlinks"):
        find()
    assert len(find(follow_symlinks=True).images) == 2
    exclude = make_file(tmp_path, "exclude.txt", b"cat/2.png\n")
    found = find(exclude=str(exclude))
    assert (len(found.images), found.excluded, found.notes) == (1, 1, [])


def test_an_empty_class_keeps_its_number(root: Path, find: Find) -> None:
    make_file(root, "cat/1.png")
    make_file(root, "dog/1.png")
    (root / "cow").mkdir()
    found = find()
    assert found.labels == ("cat", "cow", "dog")
    assert found.notes == ["class cow has no images"]


def test_one_class_whose_folders_may_be_meant(root: Path, find: Find) -> None:
    make_file(root, "photos/cat/1.png")
    make_file(root, "photos/dog/1.png")
    assert "there is one class only, photos" in find().notes[-1]


@pytest.mark.parametrize("name", [b"a b", b"[1]", b"100%", b"\xff\xfe", b"-n", "é".encode()])
def test_any_name_of_files_and_folders(root: Path, find: Find, name: bytes) -> None:
    make_file(root, name + b"/" + name + b".png")
    (image,) = find().images
    assert image.key == name + b"/" + name + b".png"


@pytest.mark.parametrize("names", [("é", "e\u0301"), ("bad\nname",), ("esc\x1b[0m",)])
def test_class_folders_that_cannot_be(root: Path, find: Find, names: tuple[str, ...]) -> None:
    for name in names:
        make_file(root, f"{name}/1.png")
    with pytest.raises(UsageError) as caught:
        find()
    assert str(caught.value).isprintable()


def test_nothing_there(root: Path, find: Find) -> None:
    with pytest.raises(NoInputError, match="nothing here"):
        find()
    make_file(root, ".DS_Store")
    with pytest.raises(NoInputError, match="1 hidden or system files"):
        find()


def test_only_loose_images(root: Path, find: Find) -> None:
    make_file(root, "1.png")
    with pytest.raises(UsageError, match="a folder a class"):
        find()


class TestClasses:
    @pytest.fixture(autouse=True)
    def pictures(self, root: Path) -> None:
        for key in ("cat/1.png", "cow/1.png", "cow/notes.txt", "dog/1.png", "loose.png"):
            make_file(root, key, b"text" if key.endswith("txt") else PICTURE)
        (root / "cow" / "gone.png").symlink_to("nowhere")

    def test_those_chosen(self, find: Find) -> None:
        found = find(classes=("dog", "cat"))
        assert labelled(found) == {b"cat/1.png": "cat", b"dog/1.png": "dog"}
        assert (found.excluded, found.skipped) == (2, 1)
        assert rejected(found) == [("loose.png", None, "no-class")]

    def test_one_that_is_not_there(self, find: Find) -> None:
        with pytest.raises(UsageError, match=r"cat, cow, dog.*got cta"):
            find(classes=("cta",))

    @pytest.mark.parametrize(
        ("name", "content"),
        [
            ("labels.txt", "0:zebra\n1:dog\n2:cow\n3:cat\n"),
            ("labels.txt", "zebra\ndog\ncow\ncat\n"),
            ("labels.json", '["zebra", "dog", "cow", "cat"]'),
            ("labels.json", '{"cat": 3, "cow": 2, "dog": 1, "zebra": 0}'),
            (
                "map.pbtxt",
                "".join(
                    f"item {{ id: {number} name: '{name}' }}\n"
                    for number, name in enumerate(["zebra", "dog", "cow", "cat"], start=1)
                ),
            ),
        ],
    )
    def test_a_label_map_numbers_them(
        self, find: Find, tmp_path: Path, name: str, content: str
    ) -> None:
        path = make_file(tmp_path, name, content.encode())
        found = find(labels=str(path))
        assert found.labels == ("zebra", "dog", "cow", "cat")
        assert labelled(found)[b"cat/1.png"] == "cat"
        assert "class zebra has no images" in found.notes

    def test_a_label_map_that_lacks_one(self, find: Find, tmp_path: Path) -> None:
        path = make_file(tmp_path, "labels.txt", b"cat\ndog\n")
        with pytest.raises(UsageError, match="got cow"):
            find(labels=str(path))

    def test_a_label_map_that_is_not_there(self, find: Find) -> None:
        with pytest.raises(NoInputError, match="no such file"):
            find(labels="/nowhere/labels.txt")


class TestExclude:
    def test_keys_as_stats_prints_them(self, root: Path, find: Find, tmp_path: Path) -> None:
        keys = [b"cat/100%.png", b"cat/\xff.png", b"cat/1.png", b"cat/a b.png", b"notes.txt"]
        for key in [*keys, b"cat/2.png"]:
            make_file(root, key)
        lines = "cat/100%25.png\r\ncat/%FF.png\n\ncat/1.png\ncat/a b.png\nnotes.txt"
        path = make_file(tmp_path, "exclude.txt", b"\xef\xbb\xbf" + lines.encode())
        found = find(exclude=str(path))
        assert list(labelled(found)) == [b"cat/2.png"]
        assert (found.excluded, found.notes) == (5, [])

    def test_a_key_that_is_not_there_is_told(self, root: Path, find: Find, tmp_path: Path) -> None:
        make_file(root, "cat/1.png")
        make_file(root, "cat/2.png")
        path = make_file(tmp_path, "exclude.txt", b"cat/1.png\ncat/3.png\n")
        assert find(exclude=str(path)).notes == ["1 keys of --exclude are not in the source"]

    def test_rejects_and_other_classes_can_be_excluded(
        self, root: Path, find: Find, tmp_path: Path
    ) -> None:
        for key in ("loose.png", "cat/1.png", "dog/1.png"):
            make_file(root, key)
        (root / "cat" / "gone.png").symlink_to("nowhere")
        path = make_file(tmp_path, "exclude.txt", b"loose.png\ncat/gone.png\ndog/1.png\n")
        found = find(exclude=str(path), classes=("cat",))
        assert (found.rejects, found.excluded, found.notes) == ([], 3, [])


class TestGroups:
    @pytest.mark.parametrize(
        ("group_by", "groups"),
        [
            ("parent", [b"cat", b"cat/p1", b"cat/p1"]),
            (r"p\d", [None, b"p1", b"p1"]),
            (r"cat/(p\d)", [None, b"p1", b"p1"]),
            (r"x*", [None, None, None]),
            (None, [None, None, None]),
        ],
    )
    def test_of_a_key(
        self, root: Path, find: Find, group_by: str | None, groups: list[bytes | None]
    ) -> None:
        for key in ("cat/0.png", "cat/p1/1.png", "cat/p1/2.png"):
            make_file(root, key)
        images = sorted(find(group_by=group_by).images, key=lambda image: image.key)
        assert [image.group for image in images] == groups


def test_a_url_is_walked_as_a_folder_is(memory: Any, root: Path, find: Find) -> None:
    for number, key in enumerate(("cat/1.png", "cat/x/2", "dog/3.jpg", "4.png", "dog/notes.txt")):
        content = b"text" if key.endswith("txt") else make_picture(number)
        make_file(root, key, content)
        memory.pipe_file(f"/photos/{key}", content)
    local = find()
    remote = find_sources(ConvertOptions(source="memory://photos", target=""))
    assert labelled(remote) == labelled(local)
    assert rejected(remote) == rejected(local)
    assert (remote.labels, remote.skipped) == (local.labels, local.skipped)


def test_a_url_where_nothing_is(memory: Any) -> None:
    with pytest.raises(NoInputError):
        find_sources(ConvertOptions(source="memory://nothing", target=""))
