"""Tests of the run folder: no overwriting, atomic files, cleanup."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from records.errors import InputNotFoundError, OutputError, ShardmillError, UsageError
from tests.trainers.test_config import CONFIG
from trainers.runs.create import create_run, remove_if_empty, require_empty
from trainers.runs.run_dir import CONFIG as CONFIG_NAME
from trainers.runs.run_dir import RESULT, WEIGHTS, Run, open_run

if TYPE_CHECKING:
    from pathlib import Path

LABELS = ("disc", "square", "star", "arc", "dot")


def test_require_empty_new_or_empty_folder_is_accepted(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("empty", "new", "new/below"):
        assert require_empty(tmp_path / name) == tmp_path / name
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


def test_require_empty_file_or_url_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="the run folder is an existing file"):
        require_empty(tmp_path / "file")
    with pytest.raises(UsageError, match="must be local"):
        require_empty("s3://bucket/run")


def test_create_run_second_run_in_folder_is_refused(tmp_path: Path) -> None:
    create_run(tmp_path / "run", CONFIG, LABELS)
    with pytest.raises(OutputError, match="an unfinished run"):
        create_run(tmp_path / "run", CONFIG, LABELS)


def test_open_run_created_run_is_read_unchanged(tmp_path: Path) -> None:
    run = create_run(tmp_path / "deep" / "run", CONFIG, LABELS)
    run.write(WEIGHTS, b"weights")
    assert open_run(tmp_path / "deep" / "run") == run
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


def test_atomic_write_interrupted_keeps_old_file(tmp_path: Path) -> None:
    run = Run(tmp_path, CONFIG, LABELS)
    run.write("curves.png", b"old")

    def write_half() -> None:
        with run.atomic_write("curves.png") as staged:
            staged.write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"curves.png": b"old"}


@pytest.mark.parametrize(
    ("number", "reason", "code"),
    [
        (errno.ENOSPC, "the disk is full", 73),
        (errno.EACCES, "permission is denied", 73),
        (errno.EIO, "the run cannot be written, got Input/output error", 74),
    ],
)
def test_atomic_write_os_error_gives_reason_and_exit_code(
    tmp_path: Path, number: int, reason: str, code: int
) -> None:
    run = Run(tmp_path, CONFIG, LABELS)
    with pytest.raises(ShardmillError, match=reason) as caught, run.atomic_write("curves.png"):
        raise OSError(number, os.strerror(number))
    assert caught.value.exit_code == code


def test_atomic_write_insufficient_space_is_refused_before_writing(tmp_path: Path) -> None:
    run = create_run(tmp_path / "run", CONFIG, LABELS)
    run.write(WEIGHTS, b"weights")
    with (
        pytest.raises(OutputError, match=r"not enough disk space .* expected 1,000,000,000"),
        run.atomic_write("model.weights.h5", size_bytes=10**15),
    ):
        pytest.fail("nothing may be written")
    assert [path.name for path in run.path.glob("*weights*")] == [WEIGHTS]


def test_open_run_relative_path_later_chdir_has_no_effect(
    run_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(run_path.parent)
    run = open_run(run_path.name)
    monkeypatch.chdir("/")
    assert run.has_weights
    assert run.path == run_path
