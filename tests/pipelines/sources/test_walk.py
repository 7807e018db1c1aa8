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


def test_walk_nested_files_are_listed_with_size_and_mtime(tmp_path: Path) -> None:
    made = make_file(tmp_path, "cat/deep/er/1.png", b"abc")
    make_file(tmp_path, "2.png")
    found = walk(tmp_path)
    assert keys(found) == [b"2.png", b"cat/deep/er/1.png"]
    deep = next(file for file in found.files if file.key != b"2.png")
    assert (deep.size_bytes, deep.fingerprint) == (3, made.stat().st_mtime_ns)
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
def test_walk_names_of_any_bytes_are_kept(tmp_path: Path, name: bytes) -> None:
    make_file(tmp_path, name + b"/" + name + b".png")
    found = walk(tmp_path)
    assert keys(found) == [name + b"/" + name + b".png"]
    assert found.folders == [name]


@pytest.mark.parametrize(
    "name", [".hidden.png", "cat/.DS_Store", "cat/Thumbs.db", "cat/desktop.ini", "__MACOSX/1.png"]
)
def test_walk_hidden_and_system_files_are_skipped_and_counted(tmp_path: Path, name: str) -> None:
    make_file(tmp_path, name)
    found = walk(tmp_path)
    assert (list(found.files), found.skipped) == ([], 1)


def test_walk_hidden_folder_counts_each_of_its_files(tmp_path: Path) -> None:
    for name in (".git/HEAD", ".git/objects/aa/1", ".git/objects/bb/.2"):
        make_file(tmp_path, name)
    found = walk(tmp_path)
    assert (list(found.files), found.folders, found.skipped) == ([], [], 3)


def test_walk_fifo_and_socket_are_skipped_without_opening(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "1.png")
    with socket.socket(socket.AF_UNIX) as listener:
        os.chdir(tmp_path)  # a socket's path must be short
        listener.bind("2.png")
    (tmp_path / "3.png").symlink_to("1.png")
    found = walk(tmp_path)
    assert (list(found.files), found.skipped) == ([], 3)


def test_walk_700_nested_folders_are_listed(tmp_path: Path) -> None:
    deepest = tmp_path
    for _ in range(700):
        deepest = Path(f"{deepest}/d")
        deepest.mkdir()
    make_file(deepest, "1.png")
    assert keys(walk(tmp_path)) == [b"d/" * 700 + b"1.png"]


class TestLinks:
    def test_walk_symlink_to_file_inside_source_is_listed(self, tmp_path: Path) -> None:
        make_file(tmp_path, "cat/1.png", b"abc")
        (tmp_path / "cat" / "2.png").symlink_to("1.png")
        found = walk(tmp_path)
        assert keys(found) == [b"cat/1.png", b"cat/2.png"]
        assert {file.size_bytes for file in found.files} == {3}

    @pytest.mark.parametrize("follow", [False, True])
    def test_walk_symlink_to_folder_inside_source_is_skipped(
        self, tmp_path: Path, follow: bool
    ) -> None:
        make_file(tmp_path, "cat/1.png")
        (tmp_path / "tiger").symlink_to("cat")
        found = walk(tmp_path, follow=follow)
        assert (keys(found), found.skipped) == ([b"cat/1.png"], 1)

    def test_walk_symlinks_out_of_source_are_reported_or_followed(self, tmp_path: Path) -> None:
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

    def test_walk_symlink_to_sibling_with_same_prefix_is_outside_source(
        self, tmp_path: Path
    ) -> None:
        make_file(tmp_path, "source-2/1.png")
        (tmp_path / "source").mkdir()
        (tmp_path / "source" / "cat").symlink_to("../source-2")
        assert walk(tmp_path / "source").escaping_links == [b"cat"]

    @pytest.mark.parametrize("follow", [False, True])
    def test_walk_broken_or_self_referencing_symlinks_are_reported(
        self, tmp_path: Path, follow: bool
    ) -> None:
        (tmp_path / "gone.png").symlink_to("nowhere")
        (tmp_path / "self.png").symlink_to("self.png")
        (tmp_path / "away.png").symlink_to("/nowhere/at/all")
        found = walk(tmp_path, follow=follow)
        assert sorted(found.broken_links) == [b"away.png", b"gone.png", b"self.png"]

    @pytest.mark.parametrize("follow", [False, True])
    def test_walk_symlink_loop_inside_source_terminates(self, tmp_path: Path, follow: bool) -> None:
        make_file(tmp_path, "cat/1.png")
        (tmp_path / "cat" / "again").symlink_to("..")
        (tmp_path / "cat" / "here").symlink_to(".")
        found = walk(tmp_path, follow=follow)
        assert (keys(found), found.skipped) == ([b"cat/1.png"], 2)

    def test_walk_symlink_loop_outside_source_terminates(self, tmp_path: Path) -> None:
        make_file(tmp_path, "pool/1.png")
        (tmp_path / "pool" / "again").symlink_to(".")
        (tmp_path / "source").mkdir()
        (tmp_path / "source" / "cat").symlink_to("../pool")
        assert keys(walk(tmp_path / "source", follow=True)) == [b"cat/1.png"]

    def test_walk_symlink_to_parent_lists_no_file_twice(self, tmp_path: Path) -> None:
        make_file(tmp_path, "source/cat/1.png")
        make_file(tmp_path, "beside/2.png")
        (tmp_path / "source" / "up").symlink_to("..")
        found = walk(tmp_path / "source", follow=True)
        assert keys(found) == [b"cat/1.png", b"up/beside/2.png"]

    def test_walk_forking_symlinks_list_each_file_once(self, tmp_path: Path) -> None:
        for level in range(30):  # 2**30 paths lead to the last
            folder = tmp_path / "pool" / f"{level}"
            folder.mkdir(parents=True)
            (folder / "a").symlink_to(f"../{level + 1}")
            (folder / "b").symlink_to(f"../{level + 1}")
        make_file(tmp_path, "pool/30/1.png")
        (tmp_path / "source").mkdir()
        (tmp_path / "source" / "cat").symlink_to("../pool/0")
        assert keys(walk(tmp_path / "source", follow=True)) == [b"cat/" + b"a/" * 30 + b"1.png"]

    def test_walk_several_symlinks_to_one_folder_use_first_by_name(self, tmp_path: Path) -> None:
        make_file(tmp_path, "pool/1.png")
        (tmp_path / "source").mkdir()
        for name in ("b", "a", "c"):
            (tmp_path / "source" / name).symlink_to("../pool")
        found = walk(tmp_path / "source", follow=True)
        assert (keys(found), found.skipped) == ([b"a/1.png"], 2)
        assert sorted(found.folders) == [b"a", b"b", b"c"]

    def test_walk_symlinks_in_hidden_folders_are_not_followed(self, tmp_path: Path) -> None:
        make_file(tmp_path, "pool/1.png")
        (tmp_path / "source" / ".old").mkdir(parents=True)
        (tmp_path / "source" / ".old" / "cat").symlink_to("../../pool")
        (tmp_path / "source" / ".pool").symlink_to("../pool")
        found = walk(tmp_path / "source")
        assert (list(found.files), found.escaping_links, found.skipped) == ([], [], 2)

    def test_walk_symlinked_source_is_listed(self, tmp_path: Path) -> None:
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


def test_walk_unlistable_folder_raises_storage_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_file(tmp_path, "cat/1.png")
    refuse(monkeypatch, "scandir", b"cat")
    with pytest.raises(StorageError, match=r"cat: cannot list a folder.*Permission denied"):
        walk(tmp_path)


def test_walk_unlistable_hidden_folder_is_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_file(tmp_path, ".Trash/1.png")
    make_file(tmp_path, "cat/1.png")
    refuse(monkeypatch, "scandir", b".Trash")
    found = walk(tmp_path)
    assert (keys(found), found.skipped) == ([b"cat/1.png"], 1)


def test_walk_folder_deleted_while_listing_raises_storage_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_file(tmp_path, "cat/1.png")
    real = os.scandir

    def vanishing(path: bytes) -> Any:
        if path.endswith(b"cat"):
            raise FileNotFoundError(2, "No such file or directory", path)
        return real(path)

    monkeypatch.setattr(os, "scandir", vanishing)
    with pytest.raises(StorageError, match="cannot list a folder"):
        walk(tmp_path)


def test_walk_file_without_stat_is_listed_with_size_zero(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_file(tmp_path, "cat/1.png")
    monkeypatch.setattr("pipelines.sources.walk.stat_entry", lambda entry, follow_symlinks: None)
    (file,) = walk(tmp_path).files
    assert (file.key, file.size_bytes) == (b"cat/1.png", 0)


def test_walk_folder_not_found_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputNotFoundError, match="folder not found"):
        walk(tmp_path / "nowhere")


def test_walk_url_lists_files_and_skips_hidden_ones(memory: Any) -> None:
    for name in ("cat/1.png", "cat/deep/2.png", "3.png", "cat/.hidden", ".git/x", "dog/Thumbs.db"):
        memory.pipe_file(f"/photos/{name}", b"abc")
    found = walk_remote(FsspecStorage("memory://photos"))
    assert keys(found) == [b"3.png", b"cat/1.png", b"cat/deep/2.png"]
    assert (found.folders, found.skipped) == ([b"cat", b"cat/deep"], 3)
    assert {file.size_bytes for file in found.files} == {3}
