"""Errors of local files that pass, that end the command, and that reject a file."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, cast

import pytest

from pipelines.sources.local_errors import stat_entry
from pipelines.sources.walk import walk_local
from records.errors import StorageError
from tests.clock import replace_time

if TYPE_CHECKING:
    from pathlib import Path

CODES = sorted(errno.errorcode)
PERMANENT = {errno.ENOENT, errno.ELOOP, errno.ENOTDIR, errno.ENAMETOOLONG}
DENIED = {errno.EACCES, errno.EPERM}


class FailingEntry:
    """A directory entry whose status fails some times."""

    name = "a.png"

    def __init__(self, path: Path, code: int, times: int) -> None:
        self._path, self._code, self.times = path, code, times

    def stat(self, *, follow_symlinks: bool) -> os.stat_result:
        """See `os.DirEntry.stat`."""
        if self.times:
            self.times -= 1
            raise OSError(self._code, os.strerror(self._code))
        return self._path.stat(follow_symlinks=follow_symlinks)


@pytest.fixture(autouse=True)
def _no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    replace_time(monkeypatch, "records.storage.retry", sleep=lambda _seconds: None)


@pytest.mark.parametrize("times", [1, 2, 99])
@pytest.mark.parametrize("code", CODES)
def test_stat_entry_error_passes_ends_command_or_is_permanent(
    tmp_path: Path, code: int, times: int
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"12345")
    entry = FailingEntry(path, code, times)

    def stat() -> os.stat_result | None:
        return stat_entry(cast("os.DirEntry[str]", entry), follow_symlinks=False)

    if code in {errno.EMFILE, errno.ENFILE, errno.ENOMEM}:
        with pytest.raises(StorageError, match="reached a limit"):
            stat()
    elif code not in PERMANENT and times <= (1 if code in DENIED else 3):
        status = stat()
        assert status is not None
        assert status.st_size == 5
    else:
        assert stat() is None


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("code", sorted(DENIED))
def test_walk_folder_denied_once_is_listed_and_denied_twice_is_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, times: int
) -> None:
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.png").write_bytes(b"12345")
    open_folder, left = os.open, [times]

    def open_sometimes(path: bytes, *arguments: int, **options: int) -> int:
        if path == b"dog" and left[0]:
            left[0] -= 1
            raise OSError(code, os.strerror(code))
        return open_folder(path, *arguments, **options)

    monkeypatch.setattr(os, "open", open_sometimes)
    listing = walk_local(os.fsencode(tmp_path), follow_symlinks=False)
    keys = [key for files in listing.files.consume() for key in files["key"].to_pylist()]
    assert left == [0]
    assert keys == ([b"cat/1.png", b"dog/1.png"] if times == 1 else [b"cat/1.png"])
    assert listing.forbidden_folders == ([] if times == 1 else [b"dog"])
