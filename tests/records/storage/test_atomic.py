"""Atomic local files and folders, also after errors and kills."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from records.storage import atomic
from records.storage.atomic import (
    atomic_file,
    atomic_folder,
    occupants,
    open_locked,
    remove_unfinished,
)
from tests.faults.calls import Faults, KilledError

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


SYSTEM = ("lost+found", ".Trash-1000", "#recycle", "System Volume Information")


@pytest.mark.parametrize("name", SYSTEM)
def test_atomic_folder_root_of_a_volume_is_filled_and_stays(tmp_path: Path, name: str) -> None:
    (tmp_path / name / "1").mkdir(parents=True)
    inode = tmp_path.stat().st_ino
    assert occupants(tmp_path) == []
    with atomic_folder(tmp_path) as folder:
        (folder / "a").mkdir()
        (folder / "a" / "b").write_bytes(b"x")
        (folder / "c").write_bytes(b"x")
        assert occupants(tmp_path) == []
    assert occupants(tmp_path) == ["a", "c"]
    assert tmp_path.stat().st_ino == inode
    assert names_in(tmp_path) == sorted(["a", "a/b", "c", name, f"{name}/1"])


def test_atomic_folder_relative_path_of_working_folder_is_filled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with atomic_folder(Path()) as folder:
        (folder / "a").touch()
    assert [each.name for each in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("exists", [False, True])
def test_atomic_folder_killed_at_any_call_is_completed_by_next_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exists: bool
) -> None:
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)
    faults = Faults(monkeypatch, "change", "removal")

    def write(out: Path) -> None:
        with atomic_folder(out, last="decisive") as folder:
            (folder / "a").mkdir()
            for name in ("a/1", "decisive", "other"):
                (folder / name).write_bytes(name.encode())

    def die() -> None:
        raise KilledError

    number, is_killed = 0, True
    while is_killed:
        number += 1
        out = tmp_path / f"{number}" / "out"
        (out / "lost+found" if exists else out.parent).mkdir(parents=True)
        try:
            with faults.at(number, die):
                write(out)
            is_killed = False
        except KilledError:
            if (out / "decisive").exists():
                assert {"a", "decisive", "other"} <= {each.name for each in out.iterdir()}
            else:
                assert not out.exists() or occupants(out) == []
                write(out)
        if exists:
            (out / "lost+found").rmdir()
        remove_unfinished(out)
        expected = ["out", "out/a", "out/a/1", "out/decisive", "out/other"]
        assert names_in(out.parent) == expected, number
    assert number > 15


def test_atomic_folder_keeps_files_that_replace_those_of_a_killed_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)
    faults = Faults(monkeypatch, "change", "removal")

    def die() -> None:
        raise KilledError

    number = 0
    while not (tmp_path / "a").exists():
        number += 1
        with suppress(KilledError), faults.at(number, die), atomic_folder(tmp_path) as folder:
            for name in ("a", "b"):
                (folder / name).write_bytes(b"shardmill's")
    assert not (tmp_path / "b").exists()
    assert occupants(tmp_path) == []
    (tmp_path / "a").unlink()
    (tmp_path / "a").write_bytes(b"the user's")
    assert occupants(tmp_path) == ["a"]
    remove_unfinished(tmp_path)
    assert names_in(tmp_path) == ["a"]


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
