"""New folders at URLs, whose files are uploaded one by one."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from records.storage.base import COPY_STEP_BYTES
from records.storage.names import LEASE
from records.storage.ownership import (
    RECORDS,
    create_recorded,
    is_own,
    recorded_hashes,
    remove_own,
)
from records.storage.work_folder import remove_own_files

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from records.storage.base import RemoteStorage


def is_vacant(
    storage: RemoteStorage, *, last: str | None = None, ignored: Collection[str] = ()
) -> bool:
    """Return whether `upload_folder` may fill a folder: it has only what a killed call has left.

    Args:
        storage: the folder, which may be a whole bucket.
        last: the file without which readers ignore the folder: with it, the folder is complete.
        ignored: other files that may exist.
    """
    recorded = recorded_hashes(storage)

    def is_left(name: str) -> bool:
        if name in ignored or name == LEASE or name.startswith(f"{RECORDS}/"):
            return True
        return name in recorded and name != last and is_own(storage, name)

    return all(is_left(name) for name, _ in storage.list_info())


@contextmanager
def upload_folder(storage: RemoteStorage, *, last: str) -> Iterator[Path]:
    """Yield an empty local folder, whose files are uploaded when the block succeeds.

    The files appear one by one, `last` at the end. If the process is killed, the next call for the
    same folder replaces what it has written.

    Args:
        storage: a vacant folder, see `is_vacant`; the caller holds its lock.
        last: the file without which readers ignore the folder.

    Raises:
        OutputError: the folder cannot be written, or another program has written one of the files.
        StorageError: storage failed after retries.
    """
    with tempfile.TemporaryDirectory(prefix="shardmill-") as temporary:
        folder = Path(temporary)
        yield folder
        for name in recorded_hashes(storage):
            remove_own(storage, name)
        files = {path.relative_to(folder).as_posix(): path for path in _files_below(folder)}
        for name in sorted(files, key=lambda name: (name == last, name)):
            with create_recorded(storage, name) as staged, files[name].open("rb") as stream:
                while block := stream.read(COPY_STEP_BYTES):
                    staged.write(block)
        remove_own_files(storage)


def _files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]
