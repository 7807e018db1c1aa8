from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest

from pipelines.sources.walk import Listing, walk_local, walk_remote
from records.errors import InputNotFoundError, StorageError
from records.storage.fsspec import FsspecStorage
from tests.pipelines.pictures import make_file


def walk(root: Path, *, follow: bool = False) -> Listing:
    return walk_local(os.fsencode(root), follow_symlinks=follow)


def keys(found: Listing) -> list[bytes]:
    return sorted(file.key for file in found.files)


def test_every_file_with_its_size_and_time(tmp_path: Path) -> None:
    made = make_file(tmp_path, "cat/deep/er/1.png", b"abc")
    make_file(tmp_path, "2.png")
    found = walk(tmp_path)
    assert keys(found) == [b"2.png", b"cat/deep/er/1.png"]
    deep = next(file for file in found.files if file.key != b"2.png")
    assert (deep.size_bytes, deep.stamp) == (3, made.stat().st_mtime_ns)
    assert sorted(found.folders) == [b"cat", b"cat/deep"]


@pytest.mark.parametrize(
    "name",
    [
        b"with space",
        b"[1]",
        b"*",
        b"100%",
        b"%41",
        b"new\nline",
        b"caf\xe9\xff",
        b"-dash",
        b"\xc3\xa9",
    ],
)
def test_names_stay_their_bytes(tmp_path: Path, name: bytes) -> None:
    make_file(tmp_path, name + b"/" + name + b".png")
    found = walk(tmp_path)
    assert keys(found) == [name + b"/" + name + b".png"]
    assert found.folders == [name]


@pytest.mark.parametrize(
    "name", [".hidden.png", "cat/.DS_Store", "cat/Thumbs.db", "cat/desktop.ini", "__MACOSX/1.png"]
)
def test_hidden_and_system_files_are_counted_not_listed(tmp_path: Path, name: str) -> None:
    make_file(tmp_path, name)
    found = walk(tmp_path)
    assert (list(found.files), found.skipped) == ([], 1)


def test_every_file_of_a_hidden_folder_counts(tmp_path: Path) -> None:
    for name in (".git/HEAD", ".git/objects/aa/1", ".git/objects/bb/.2"):
        make_file(tmp_path, name)
    found = walk(tmp_path)
    assert (list(found.files), found.folders, found.skipped) == ([], [], 3)


def test_what_is_no_file_is_skipped_and_never_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "1.png")
    with socket.socket(socket.AF_UNIX) as listener:
        os.chdir(tmp_path)  # a socket's path must be short
        listener.bind("2.png")
    (tmp_path / "3.png").symlink_to("1.png")
    found = walk(tmp_path)
    assert (list(found.files), found.skipped) == ([], 3)


def test_folders_deeper_than_pythons_stack(tmp_path: Path) -> None:
    deepest = tmp_path
    for _ in range(700):
        deepest = Path(f"{deepest}/d")
        deepest.mkdir()
    make_file(deepest, "1.png")
    assert keys(walk(tmp_path)) == [b"d/" * 700 + b"1.png"]


class TestLinks:
    def test_a_file_inside_is_a_file(self, tmp_path: Path) -> None:
        make_file(tmp_path, "cat/1.png", b"abc")
        (tmp_path / "cat" / "2.png").symlink_to("1.png")
        found = walk(tmp_path)
        assert keys(found) == [b"cat/1.png", b"cat/2.png"]
        assert {file.size_bytes for file in found.files} == {3}

    @pytest.mark.parametrize("follow", [False, True])
    def test_a_folder_inside_is_found_at_its_own_place(self, tmp_path: Path, follow: bool) -> None:
        make_file(tmp_path, "cat/1.png")
        (tmp_path / "tiger").symlink_to("cat")
        found = walk(tmp_path, follow=follow)
        assert (keys(found), found.skipped) == ([b"cat/1.png"], 1)

    def test_outside_is_told_apart(self, tmp_path: Path) -> None:
        make_file(tmp_path, "pool/1.png")
        (tmp_path / "source" / "cat").mkdir(parents=True)
        (tmp_path / "source" / "cat" / "1.png").symlink_to("../../pool/1.png")
        (tmp_path / "source" / "dog").symlink_to("../pool")
        found = walk(tmp_path / "source")
        assert sorted(found.escaping_links) == [b"cat/1.png", b"dog"]
        assert list(found.files) == []
        followed = walk(tmp_path / "source", follow=True)
        assert (keys(followed), followed.escaping_links) == ([b"cat/1.png", b"dog/1.png"], [])
        assert sorted(followed.folders) == [b"cat", b"dog"]

    def test_a_name_that_begins_as_the_source_does_is_outside(self, tmp_path: Path) -> None:
        make_file(tmp_path, "source-2/1.png")
        (tmp_path / "source").mkdir()
        (tmp_path / "source" / "cat").symlink_to("../source-2")
        assert walk(tmp_path / "source").escaping_links == [b"cat"]

    @pytest.mark.parametrize("follow", [False, True])
    def test_leading_nowhere_or_in_a_circle(self, tmp_path: Path, follow: bool) -> None:
        (tmp_path / "gone.png").symlink_to("nowhere")
        (tmp_path / "self.png").symlink_to("self.png")
        (tmp_path / "away.png").symlink_to("/nowhere/at/all")
        found = walk(tmp_path, follow=follow)
        assert sorted(found.broken_links) == [b"away.png", b"gone.png", b"self.png"]

    @pytest.mark.parametrize("follow", [False, True])
    def test_a_loop_ends(self, tmp_path: Path, follow: bool) -> None:
        make_file(tmp_path, "cat/1.png")
        (tmp_path / "cat" / "again").symlink_to("..")
        (tmp_path / "cat" / "here").symlink_to(".")
        found = walk(tmp_path, follow=follow)
        assert (keys(found), found.skipped) == ([b"cat/1.png"], 2)

    def test_a_loop_outside_ends(self, tmp_path: Path) -> None:
        make_file(tmp_path, "pool/1.png")
        (tmp_path / "pool" / "again").symlink_to(".")
        (tmp_path / "source").mkdir()
        (tmp_path / "source" / "cat").symlink_to("../pool")
        assert keys(walk(tmp_path / "source", follow=True)) == [b"cat/1.png"]

    def test_the_sources_own_parent_does_not_bring_everything_twice(self, tmp_path: Path) -> None:
        make_file(tmp_path, "source/cat/1.png")
        make_file(tmp_path, "beside/2.png")
        (tmp_path / "source" / "up").symlink_to("..")
        found = walk(tmp_path / "source", follow=True)
        assert keys(found) == [b"cat/1.png", b"up/beside/2.png"]

    def test_links_that_fork_do_not_multiply(self, tmp_path: Path) -> None:
        for level in range(30):  # 2**30 paths lead to the last
            folder = tmp_path / "pool" / f"{level}"
            folder.mkdir(parents=True)
            (folder / "a").symlink_to(f"../{level + 1}")
            (folder / "b").symlink_to(f"../{level + 1}")
        make_file(tmp_path, "pool/30/1.png")
        (tmp_path / "source").mkdir()
        (tmp_path / "source" / "cat").symlink_to("../pool/0")
        assert keys(walk(tmp_path / "source", follow=True)) == [b"cat/" + b"a/" * 30 + b"1.png"]

    def test_of_two_links_to_one_folder_the_first_by_name_counts(self, tmp_path: Path) -> None:
        make_file(tmp_path, "pool/1.png")
        (tmp_path / "source").mkdir()
        for name in ("b", "a", "c"):
            (tmp_path / "source" / name).symlink_to("../pool")
        found = walk(tmp_path / "source", follow=True)
        assert (keys(found), found.skipped) == ([b"a/1.png"], 2)
        assert sorted(found.folders) == [b"a", b"b", b"c"]

    def test_in_hidden_folders_none_is_followed(self, tmp_path: Path) -> None:
        make_file(tmp_path, "pool/1.png")
        (tmp_path / "source" / ".old").mkdir(parents=True)
        (tmp_path / "source" / ".old" / "cat").symlink_to("../../pool")
        (tmp_path / "source" / ".pool").symlink_to("../pool")
        found = walk(tmp_path / "source")
        assert (list(found.files), found.escaping_links, found.skipped) == ([], [], 2)

    def test_the_source_itself_may_be_one(self, tmp_path: Path) -> None:
        make_file(tmp_path, "real/cat/1.png")
        (tmp_path / "source").symlink_to("real")
        (tmp_path / "real" / "dog").symlink_to(tmp_path / "source" / "cat")
        found = walk(tmp_path / "source")
        assert (keys(found), found.skipped, found.escaping_links) == ([b"cat/1.png"], 1, [])


def refuse(monkeypatch: pytest.MonkeyPatch, function: str, name: bytes) -> None:
    """Make a call fail for paths that end in `name`: permissions do not bind root."""
    real = getattr(os, function)

    def refusing(path: Any, *rest: Any, **named: Any) -> Any:
        if os.fsencode(path).endswith(name):
            raise PermissionError(13, "Permission denied", path)
        return real(path, *rest, **named)

    monkeypatch.setattr(os, function, refusing)


def test_a_folder_that_cannot_be_listed_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_file(tmp_path, "cat/1.png")
    refuse(monkeypatch, "scandir", b"cat")
    with pytest.raises(StorageError, match=r"cat: a folder cannot be listed.*Permission denied"):
        walk(tmp_path)


def test_but_not_a_hidden_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_file(tmp_path, ".Trash/1.png")
    make_file(tmp_path, "cat/1.png")
    refuse(monkeypatch, "scandir", b".Trash")
    found = walk(tmp_path)
    assert (keys(found), found.skipped) == ([b"cat/1.png"], 1)


def test_a_folder_gone_meanwhile_is_not_called_a_missing_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_file(tmp_path, "cat/1.png")
    real = os.scandir

    def vanishing(path: bytes) -> Any:
        if path.endswith(b"cat"):
            raise FileNotFoundError(2, "No such file or directory", path)
        return real(path)

    monkeypatch.setattr(os, "scandir", vanishing)
    with pytest.raises(StorageError, match="cannot be listed"):
        walk(tmp_path)


def test_a_file_that_cannot_be_looked_at_is_listed_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_file(tmp_path, "cat/1.png")
    monkeypatch.setattr("pipelines.sources.walk._status", lambda entry, follow_symlinks: None)
    (file,) = walk(tmp_path).files
    assert (file.key, file.size_bytes) == (b"cat/1.png", 0)


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(InputNotFoundError, match="no such folder"):
        walk(tmp_path / "nowhere")


def test_a_url(memory: Any) -> None:
    for name in ("cat/1.png", "cat/deep/2.png", "3.png", "cat/.hidden", ".git/x", "dog/Thumbs.db"):
        memory.pipe_file(f"/photos/{name}", b"abc")
    found = walk_remote(FsspecStorage("memory://photos"))
    assert keys(found) == [b"3.png", b"cat/1.png", b"cat/deep/2.png"]
    assert (found.folders, found.skipped) == ([b"cat", b"cat/deep"], 3)
    assert {file.size_bytes for file in found.files} == {3}
