"""Errors of local files that pass, that end the command, and that reject a file."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, cast

import pytest

from pipelines.sources.local_errors import stat_entry
from records.errors import StorageError

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
    monkeypatch.setattr("records.storage.retry.time.sleep", lambda _seconds: None)


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
