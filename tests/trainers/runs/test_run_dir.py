"""Tests of the run folder: no overwriting, atomic files, cleanup."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from records.errors import (
    CorruptDataError,
    InputNotFoundError,
    OutputError,
    ShardmillError,
)
from records.format.label_map import format_labels
from records.format.layout import LABELS as LABELS_NAME
from tests.faults.calls import Faults, KilledError
from tests.trainers.test_config import CONFIG
from trainers.runs.create import create_run, open_for_writing, remove_if_empty, require_empty
from trainers.runs.digests import DIGESTS
from trainers.runs.resume import find_run
from trainers.runs.run_dir import CONFIG as CONFIG_NAME
from trainers.runs.run_dir import OPTIONS, RESULT, WEIGHTS, is_run, open_run
from trainers.runs.run_folder import open_run_folder

LABELS = ("disc", "square", "star", "arc", "dot")


def test_require_empty_new_or_empty_folder_is_accepted(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("empty", "new", "new/below"):
        require_empty(tmp_path / name)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("file", "what"),
    [
        (RESULT, "a finished run"),
        (CONFIG_NAME, "an unfinished run"),
        ("dataset.json", "a dataset"),
        ("thesis.doc", "files"),
    ],
)
def test_require_empty_existing_file_is_refused_with_its_kind(
    tmp_path: Path, file: str, what: str
) -> None:
    (tmp_path / file).touch()
    with pytest.raises(OutputError, match=f"contains {what} and is not overwritten"):
        require_empty(tmp_path)


def test_require_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="the run folder is an existing file"):
        require_empty(tmp_path / "file")


def test_create_run_second_run_in_folder_is_refused(tmp_path: Path) -> None:
    create_run(tmp_path / "run", CONFIG, LABELS)
    with pytest.raises(OutputError, match="an unfinished run"):
        create_run(tmp_path / "run", CONFIG, LABELS)


def test_open_run_created_run_is_read_unchanged(tmp_path: Path) -> None:
    run = create_run(tmp_path / "deep" / "run", CONFIG, LABELS)
    run.write(WEIGHTS, b"weights")
    opened = open_run(tmp_path / "deep" / "run")
    assert (opened.location, opened.config, opened.labels) == (run.location, CONFIG, LABELS)
    assert not run.is_finished
    run.write(RESULT, b"{}")
    assert run.is_finished


def test_open_run_without_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputNotFoundError, match="not a run folder"):
        open_run(tmp_path)
    with pytest.raises(InputNotFoundError, match="not a run folder"):
        open_run(tmp_path / "missing")
    create_run(tmp_path, CONFIG, LABELS)
    with pytest.raises(InputNotFoundError, match="has no weights yet"):
        open_run(tmp_path)


@pytest.mark.parametrize("name", [CONFIG_NAME, "labels.txt", WEIGHTS])
@pytest.mark.parametrize("kind", ["pipe", "link out"])
def test_open_run_with_refused_file_ends_with_error(tmp_path: Path, name: str, kind: str) -> None:
    run = create_run(tmp_path / "run", CONFIG, LABELS)
    run.write(WEIGHTS, b"weights")
    open_run(run.location)
    (Path(run.location) / name).rename(tmp_path / name)
    if kind == "pipe":
        os.mkfifo(Path(run.location) / name)
    else:
        (Path(run.location) / name).symlink_to(tmp_path / name)
    with pytest.raises((CorruptDataError, InputNotFoundError)) as caught:
        open_run(run.location)
    assert kind == "pipe" or "leads out of the folder" in str(caught.value)


def test_remove_if_empty_run_without_weights_removes_only_its_files(tmp_path: Path) -> None:
    remove_if_empty(create_run(tmp_path / "run", CONFIG, LABELS))
    assert not (tmp_path / "run").exists()
    run = create_run(tmp_path / "run", CONFIG, LABELS)
    (tmp_path / "run" / "mine.txt").touch()
    remove_if_empty(run)
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["mine.txt"]


def test_remove_if_empty_run_with_weights_is_kept(tmp_path: Path) -> None:
    run = create_run(tmp_path, CONFIG, LABELS)
    run.write(WEIGHTS, b"weights")
    before = sorted(tmp_path.iterdir())
    remove_if_empty(run)
    assert sorted(tmp_path.iterdir()) == before


def test_write_interrupted_keeps_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = create_run(tmp_path / "run", CONFIG, LABELS)
    run.write("curves.png", b"old")

    def write_half(path: Path, _content: bytes) -> None:
        with path.open("wb") as file:
            file.write(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", write_half)
        with pytest.raises(KeyboardInterrupt):
            run.write_unrecorded("curves.png", b"new")
    assert run.read("curves.png") == b"old"
    assert not list(Path(run.location).glob(".*"))


@pytest.mark.parametrize(
    ("number", "reason", "code"),
    [
        (errno.ENOSPC, "the disk is full", 73),
        (errno.EACCES, "permission is denied", 73),
        (errno.EIO, "the run cannot be written, got Input/output error", 74),
    ],
)
def test_write_os_error_gives_reason_and_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, reason: str, code: int
) -> None:
    run = create_run(tmp_path / "run", CONFIG, LABELS)

    def fail(_path: Path, _content: bytes) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(ShardmillError, match=reason) as caught:
        run.write("curves.png", b"new")
    assert caught.value.exit_code == code


@pytest.mark.parametrize("place", ["absent", "empty", "volume"])
@pytest.mark.parametrize("fault", ["killed", "full"])
def test_run_creation_fails_at_any_call_then_run_is_complete_or_absent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, fault: str
) -> None:
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)
    faults = Faults(monkeypatch, "change", "removal")

    def fail() -> None:
        if fault == "full":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        raise KilledError

    number, failed = 0, True
    while failed:
        number += 1
        path = tmp_path / f"{number}" / "run"
        path.parent.mkdir()
        if place != "absent":
            path.mkdir()
        if place == "volume":
            (path / "lost+found").mkdir()
        try:
            with faults.at(number, fail):
                create_run(path, CONFIG, LABELS)
            failed = False
        except (KilledError, OutputError):
            pass
        if is_run(open_run_folder(path)):
            assert (path / LABELS_NAME).read_bytes() == format_labels(LABELS), number
        else:
            # The same command starts the run; its lock and weights make it one that remains.
            require_empty(path)
            with open_for_writing(path, CONFIG, LABELS) as run:
                run.write(WEIGHTS, b"weights")
        names = {CONFIG_NAME, OPTIONS, LABELS_NAME, WEIGHTS, DIGESTS, "lost+found"}
        assert {each.name for each in path.iterdir() if each.suffix != ".unfinished"} <= names
        assert is_run(open_run_folder(path))
    assert number > 5


def test_open_for_writing_completes_run_and_removes_files_of_killed_process(tmp_path: Path) -> None:
    path = tmp_path / "run"
    create_run(path, CONFIG, LABELS).write(WEIGHTS, b"weights")
    for content in (None, b""):
        (path / LABELS_NAME).unlink()
        if content is not None:
            (path / LABELS_NAME).write_bytes(content)
        else:
            with pytest.raises(
                CorruptDataError, match=r"labels\.txt: a file of the run is missing"
            ):
                open_run(path)
        (path / f".{'0a' * 8}-model.weights.h5").write_bytes(b"half")
        (path / ".0-notes").touch()
        with open_for_writing(path, CONFIG, LABELS):
            pass
        names = [".0-notes", CONFIG_NAME, OPTIONS, LABELS_NAME, WEIGHTS, DIGESTS]
        assert {each.name for each in path.iterdir()} == set(names)
        assert open_run(path).labels == LABELS


@pytest.mark.parametrize("labels", [None, b"", b"disc\n"])
def test_resume_run_with_empty_configuration_starts_it(
    tmp_path: Path, labels: bytes | None
) -> None:
    (tmp_path / CONFIG_NAME).touch()
    if labels is not None:
        (tmp_path / LABELS_NAME).write_bytes(labels)
    assert find_run(tmp_path) is None
    require_empty(tmp_path, resume=True)
    with open_for_writing(tmp_path, CONFIG, LABELS) as run:
        run.write(WEIGHTS, b"weights")
    assert open_run(tmp_path).labels == LABELS


def test_remove_if_empty_root_of_a_volume_is_kept(tmp_path: Path) -> None:
    (tmp_path / "lost+found").mkdir()
    remove_if_empty(create_run(tmp_path, CONFIG, LABELS))
    assert [each.name for each in tmp_path.iterdir()] == ["lost+found"]


def test_open_run_relative_path_later_chdir_has_no_effect(
    run_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(run_path.parent)
    run = open_run(run_path.name)
    monkeypatch.chdir("/")
    assert run.has_weights
    assert run.location == run_path.name
