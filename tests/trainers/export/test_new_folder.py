"""The folder of an export is whole, or not there."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest

from records.errors import OutputError
from trainers.export.export import new_folder, require_empty_folder

if TYPE_CHECKING:
    from pathlib import Path


def test_atomic_folder_block_succeeds_publishes_folder(tmp_path: Path) -> None:
    path = tmp_path / "out"
    require_empty_folder(str(path), last="file")
    with new_folder(str(path), last="file") as folder:
        (folder / "file").touch()
        assert not path.exists()
    assert [file.name for file in path.iterdir()] == ["file"]
    assert [each.name for each in tmp_path.iterdir()] == ["out"]


def fail_in(path: Path, error: Exception) -> None:
    with new_folder(str(path), last="file") as folder:
        (folder / "file").touch()
        raise error


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), ValueError()])
def test_atomic_folder_block_fails_leaves_nothing(tmp_path: Path, error: Exception) -> None:
    expected = OutputError if isinstance(error, OSError) else ValueError
    with pytest.raises(expected):
        fail_in(tmp_path / "out", error)
    assert list(tmp_path.iterdir()) == []


def test_atomic_folder_existing_files_are_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    require_empty_folder(str(tmp_path / "out"), last="file")
    with new_folder(str(tmp_path / "out"), last="file") as folder:
        (folder / "file").touch()
    with pytest.raises(OutputError, match="is not overwritten"):
        require_empty_folder(str(tmp_path / "out"), last="file")
    # Whoever was faster in the meantime keeps what is theirs.
    with pytest.raises(OutputError), new_folder(str(tmp_path / "out"), last="file") as folder:
        (folder / "other").touch()
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["file"]
