from __future__ import annotations

import errno
import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pipelines.sources.walk import Listing, walk_local, walk_remote
from records.errors import AccessDeniedError, InputNotFoundError, StorageError
from records.storage.fsspec import FsspecStorage
from tests.pipelines.pictures import make_file


def walk(root: Path, *, follow: bool = False) -> Listing:
    return walk_local(os.fsencode(root), follow_symlinks=follow)


def keys(found: Listing) -> list[bytes]:
    return sorted(file.key for file in found.files)


def skipped(found: Listing) -> dict[str, str]:
    return {file.key: file.reason for file in found.skipped}


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
    assert (list(found.files), len(found.skipped)) == ([], 1)


def test_walk_hidden_folder_is_one_entry_and_not_walked(tmp_path: Path) -> None:
    for name in (".git/HEAD", ".git/objects/aa/1", ".git/objects/bb/.2", "cat/__MACOSX/1.png"):
        make_file(tmp_path, name)
    found = walk(tmp_path)
    assert (list(found.files), found.folders) == ([], [b"cat"])
    assert skipped(found) == {".git/": "hidden", "cat/__MACOSX/": "system"}


def test_walk_fifo_and_socket_are_skipped_without_opening(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "1.png")
    with socket.socket(socket.AF_UNIX) as listener:
        os.chdir(tmp_path)  # a socket's path must be short
        listener.bind("2.png")
    (tmp_path / "3.png").symlink_to("1.png")
    found = walk(tmp_path)
    assert (list(found.files), len(found.skipped)) == ([], 3)


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
        assert (keys(found), len(found.skipped)) == ([b"cat/1.png"], 1)

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
        assert (keys(found), len(found.skipped)) == ([b"cat/1.png"], 2)

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
        assert (keys(found), len(found.skipped)) == ([b"a/1.png"], 2)
        assert sorted(found.folders) == [b"a", b"b", b"c"]

    def test_walk_symlinks_in_hidden_folders_are_not_followed(self, tmp_path: Path) -> None:
        make_file(tmp_path, "pool/1.png")
        (tmp_path / "source" / ".old").mkdir(parents=True)
        (tmp_path / "source" / ".old" / "cat").symlink_to("../../pool")
        (tmp_path / "source" / ".pool").symlink_to("../pool")
        found = walk(tmp_path / "source")
        assert (list(found.files), found.escaping_links, len(found.skipped)) == ([], [], 2)

    def test_walk_symlinked_source_is_listed(self, tmp_path: Path) -> None:
        make_file(tmp_path, "real/cat/1.png")
        (tmp_path / "source").symlink_to("real")
        (tmp_path / "real" / "dog").symlink_to(tmp_path / "source" / "cat")
        found = walk(tmp_path / "source")
        assert (keys(found), len(found.skipped), found.escaping_links) == ([b"cat/1.png"], 1, [])


@pytest.fixture
def shared_tmp() -> Iterator[Path]:
    """Yield a folder that every user may enter; pytest's own is private."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@contextmanager
def without_privileges() -> Iterator[None]:
    """Run the block as a user to whom permissions apply."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


class TestFoldersThatCannotBeListed:
    @pytest.mark.parametrize("name", ["cat", "cat/deep"])
    def test_walk_forbidden_folder_is_skipped_and_recorded(
        self, shared_tmp: Path, name: str
    ) -> None:
        make_file(shared_tmp, "dog/1.png")
        make_file(shared_tmp, f"{name}/1.png")
        (shared_tmp / name).chmod(0)
        try:
            with without_privileges():
                found = walk(shared_tmp)
        finally:
            (shared_tmp / name).chmod(0o755)
        assert keys(found) == [b"dog/1.png"]
        assert (found.forbidden_folders, len(found.skipped)) == ([name.encode()], 1)

    def test_walk_forbidden_source_raises_access_denied_error(self, shared_tmp: Path) -> None:
        source = shared_tmp / "photos"
        source.mkdir(mode=0)
        with without_privileges(), pytest.raises(AccessDeniedError, match="Permission denied"):
            walk(source)

    @pytest.mark.parametrize("code", [errno.EIO, errno.ESTALE, errno.ENOENT])
    def test_walk_storage_fault_in_folder_raises_storage_error(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
    ) -> None:
        make_file(tmp_path, "cat/1.png")
        monkeypatch.setattr(os, "scandir", _failing_second_time(os.scandir, code))
        with pytest.raises(StorageError, match=r"cat: cannot list a folder"):
            walk(tmp_path)

    @pytest.mark.parametrize(
        ("name", "depth", "is_listed"),
        [
            ("d" * 255, 15, True),
            ("d" * 255, 16, True),  # 4,095 bytes; the path from the root is longer
            ("d" * 255, 17, False),
            ("d" * 99, 41, False),
            pytest.param("d", 5000, False, marks=pytest.mark.slow),
        ],
    )
    def test_walk_nested_folders_beyond_limit_are_refused_without_the_others(
        self, tmp_path: Path, name: str, depth: int, is_listed: bool
    ) -> None:
        make_file(tmp_path, "cat/1.png")
        with nested_folders(tmp_path, name, depth) as deepest:
            os.close(os.open("1.png", os.O_CREAT, dir_fd=deepest))
            found = walk(tmp_path)
            os.unlink("1.png", dir_fd=deepest)
        assert keys(found)[:1] == [b"cat/1.png"]
        assert len(keys(found)) == 1 + is_listed
        assert [reason for _, reason in found.refused] == [
            "the path of the folder is longer than 4,095 bytes"
        ] * (not is_listed)


def _failing_second_time(real: Callable[..., Any], code: int) -> Callable[..., Any]:
    calls = []

    def scandir(path: Any) -> Any:
        calls.append(path)
        if len(calls) == 2:
            raise OSError(code, os.strerror(code))
        return real(path)

    return scandir


@contextmanager
def nested_folders(root: Path, name: str, depth: int) -> Iterator[int]:
    """Make folders in each other, deeper than any path may be, and remove them again.

    Yields the descriptor of the deepest.
    """
    descriptors = [os.open(root, os.O_RDONLY)]
    try:
        for _ in range(depth):
            os.mkdir(name, dir_fd=descriptors[-1])
            descriptors.append(os.open(name, os.O_RDONLY, dir_fd=descriptors[-1]))
        yield descriptors[-1]
    finally:
        while len(descriptors) > 1:
            os.close(descriptors.pop())
            os.rmdir(name, dir_fd=descriptors[-1])
        os.close(descriptors[0])


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
    assert (found.folders, len(found.skipped)) == ([b"cat", b"cat/deep"], 3)
    assert {file.size_bytes for file in found.files} == {3}
