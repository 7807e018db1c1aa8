"""A run's folder: never overwritten, whole files only, and nothing left of a run that never was."""

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


def test_a_new_folder_and_an_empty_one_are_free(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("empty", "new", "new/below"):
        assert require_empty(tmp_path / name) == tmp_path / name
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("file", "what"),
    [
        (RESULT, "a finished run is"),
        (CONFIG_NAME, "an unfinished run is"),
        ("dataset.json", "a dataset is"),
        ("thesis.doc", "something is"),
    ],
)
def test_what_is_there_is_not_overwritten(tmp_path: Path, file: str, what: str) -> None:
    (tmp_path / file).touch()
    with pytest.raises(OutputError, match=f"{what} here, and it is not overwritten"):
        require_empty(tmp_path)


def test_files_and_urls_are_no_folders(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="a file is where"):
        require_empty(tmp_path / "file")
    with pytest.raises(UsageError, match="must be local"):
        require_empty("s3://bucket/run")


def test_of_two_runs_in_one_folder_the_second_is_refused(tmp_path: Path) -> None:
    create_run(tmp_path / "run", CONFIG, LABELS)
    with pytest.raises(OutputError, match="an unfinished run"):
        create_run(tmp_path / "run", CONFIG, LABELS)


def test_a_run_is_opened_as_it_was_created(tmp_path: Path) -> None:
    run = create_run(tmp_path / "deep" / "run", CONFIG, LABELS)
    run.write(WEIGHTS, b"weights")
    assert open_run(tmp_path / "deep" / "run") == run
    assert not run.is_finished
    run.write(RESULT, b"{}")
    assert run.is_finished


def test_without_weights_there_is_nothing_to_open(tmp_path: Path) -> None:
    with pytest.raises(InputNotFoundError, match="no run here"):
        open_run(tmp_path)
    with pytest.raises(InputNotFoundError, match="no run here"):
        open_run(tmp_path / "missing")
    create_run(tmp_path, CONFIG, LABELS)
    with pytest.raises(InputNotFoundError, match="has written no weights yet"):
        open_run(tmp_path)


def test_a_run_without_weights_is_discarded_and_nothing_else(tmp_path: Path) -> None:
    remove_if_empty(create_run(tmp_path / "run", CONFIG, LABELS))
    assert not (tmp_path / "run").exists()
    run = create_run(tmp_path / "run", CONFIG, LABELS)
    (tmp_path / "run" / "mine.txt").touch()
    remove_if_empty(run)
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["mine.txt"]


def test_a_run_with_weights_stays(tmp_path: Path) -> None:
    run = create_run(tmp_path, CONFIG, LABELS)
    run.write(WEIGHTS, b"weights")
    before = sorted(tmp_path.iterdir())
    remove_if_empty(run)
    assert sorted(tmp_path.iterdir()) == before


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    run = Run(tmp_path, CONFIG, LABELS)
    run.write("curves.png", b"old")

    def write_half() -> None:
        with run.replacing("curves.png") as staged:
            staged.write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"curves.png": b"old"}


@pytest.mark.parametrize(
    ("number", "code"), [(errno.ENOSPC, 73), (errno.EACCES, 73), (errno.EIO, 74)]
)
def test_a_failed_write_says_why(tmp_path: Path, number: int, code: int) -> None:
    run = Run(tmp_path, CONFIG, LABELS)
    reason = os.strerror(number)
    with pytest.raises(ShardmillError, match=reason) as caught, run.replacing("curves.png"):
        raise OSError(number, reason)
    assert caught.value.exit_code == code


def test_a_file_that_does_not_fit_is_not_begun(tmp_path: Path) -> None:
    run = create_run(tmp_path / "run", CONFIG, LABELS)
    run.write(WEIGHTS, b"weights")
    with (
        pytest.raises(OutputError, match="no space left for this file, expected 1,000,000,000"),
        run.replacing("model.weights.h5", size_bytes=10**15),
    ):
        pytest.fail("nothing may be written")
    assert [path.name for path in run.path.glob("*weights*")] == [WEIGHTS]
