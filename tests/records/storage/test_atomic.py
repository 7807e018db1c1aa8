"""Atomic local files and folders, also after errors and kills."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from records.storage import atomic
from records.storage.atomic import atomic_file, atomic_folder, open_locked, remove_unfinished

if TYPE_CHECKING:
    from pathlib import Path

_FILL_UNTIL_KILLED = """
import os, pathlib, sys
from records.storage.atomic import atomic_folder
with atomic_folder(pathlib.Path(sys.argv[1])) as folder:
    (folder / "half").write_bytes(b"x")
    print("ready", flush=True)
    sys.stdin.read()
    os._exit(9)
"""


def names_in(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_atomic_file_replaces_existing_file_when_block_succeeds(tmp_path: Path) -> None:
    (tmp_path / "a.h5").write_bytes(b"old")
    with atomic_file(tmp_path / "a.h5") as staged:
        assert staged.suffix == ".h5"
        staged.write_bytes(b"new")
        assert (tmp_path / "a.h5").read_bytes() == b"old"
    assert (tmp_path / "a.h5").read_bytes() == b"new"
    assert names_in(tmp_path) == ["a.h5"]


def test_atomic_file_error_in_block_keeps_existing_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")

    def write_half() -> None:
        with atomic_file(tmp_path / "a") as staged:
            staged.write_bytes(b"half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_half()
    assert (tmp_path / "a").read_bytes() == b"old"
    assert names_in(tmp_path) == ["a"]


@pytest.mark.parametrize("is_empty_folder", [False, True])
def test_atomic_folder_appears_when_block_succeeds(tmp_path: Path, is_empty_folder: bool) -> None:
    out = tmp_path / "deep" / "out"
    if is_empty_folder:
        out.mkdir(parents=True)
    with atomic_folder(out) as folder:
        (folder / "a").mkdir()
        (folder / "a" / "b").write_bytes(b"x")
        assert not (out / "a").exists()
    assert names_in(tmp_path) == ["deep", "deep/out", "deep/out/a", "deep/out/a/b"]


def test_atomic_folder_error_in_block_leaves_nothing(tmp_path: Path) -> None:
    def write_half() -> None:
        with atomic_folder(tmp_path / "out") as folder:
            (folder / "a").write_bytes(b"half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_half()
    assert names_in(tmp_path) == []


def test_atomic_folder_existing_output_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(OSError, match="not empty"), atomic_folder(tmp_path / "out"):
        (tmp_path / "out" / "mine").write_bytes(b"x")
    assert names_in(tmp_path) == ["out", "out/mine"]


def test_atomic_folder_next_call_removes_folder_of_killed_process(tmp_path: Path) -> None:
    out = tmp_path / "out"
    process = subprocess.Popen(
        [sys.executable, "-c", _FILL_UNTIL_KILLED, str(out)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    with atomic_folder(out):
        assert len(names_in(tmp_path)) == 3, "the folder of a live process must stay"
    process.communicate("")
    out.rmdir()
    (tmp_path / ".out.notes.unfinished").mkdir()
    remove_unfinished(tmp_path, "other")
    assert len(names_in(tmp_path)) == 3
    with atomic_folder(out):
        pass
    assert names_in(tmp_path) == [".out.notes.unfinished", "out"]


def test_atomic_folder_many_files_are_flushed_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushes: list[str] = []
    monkeypatch.setattr(atomic, "MOST_FSYNCS", 3)
    monkeypatch.setattr(os, "fsync", lambda descriptor: flushes.append("one"))
    monkeypatch.setattr(os, "sync", lambda: flushes.append("all"))
    for out, files in (("few", 2), ("many", 3)):
        with atomic_folder(tmp_path / out) as folder:
            for number in range(files):
                (folder / str(number)).touch()
    assert flushes == ["one"] * 3 + ["one"] + ["all"] + ["one"]


def test_open_locked_second_descriptor_is_refused_until_close(tmp_path: Path) -> None:
    first = open_locked(tmp_path / "sub" / "lock", os.O_RDWR | os.O_CREAT)
    with pytest.raises(BlockingIOError):
        open_locked(tmp_path / "sub" / "lock", os.O_RDWR)
    os.close(first)
    os.close(open_locked(tmp_path / "sub" / "lock", os.O_RDWR))
