"""Files that runs have written into a folder, known by their content.

Before a file gets its name, an empty file `.shardmill/written/NAME.HASH` records its hash. A file
is replaced or removed only if its hash is recorded. So a file of the user is never mistaken for one
of a run, whatever its name is and whenever it was added. A run that is killed between the record
and the file leaves a record without a file, which has no effect.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote, unquote

import xxhash

from records.errors import CorruptDataError, OutputError
from records.storage.base import FileInfo, StagedFile, Storage, hash_stream
from records.storage.names import WORK_FOLDER

RECORDS = f"{WORK_FOLDER}/written"
_ETAGS = f"{WORK_FOLDER}/etags"


def record_hash(storage: Storage, name: str, xxh3_128: str) -> None:
    """Record the hash of a file that is about to be published. Raises as `Storage.create`."""
    storage.replace(_record_name(name, xxh3_128), b"")


def is_own(storage: Storage, name: str, *, known: bytes | None = None) -> bool:
    """Return whether a file exists and has the bytes that a run wrote, or those of `known`.

    A file with the ETag that was saved after it was written is not read.

    Raises:
        StorageError: storage failed after retries.
    """
    present = storage.stat(name)
    return present is not None and _has_own_bytes(storage, name, present, known)


def _has_own_bytes(storage: Storage, name: str, present: FileInfo, known: bytes | None) -> bool:
    try:
        if known is not None and len(known) == present.size_bytes and storage.read(name) == known:
            return True
        if present.etag is not None and present.etag == read_etag(storage, name):
            return True
        with storage.open(name) as stream:
            xxh3_128 = hash_stream(stream)
    except (FileNotFoundError, CorruptDataError):  # a link that leads out of the folder
        return False
    return storage.stat(_record_name(name, xxh3_128)) is not None


def require_own(storage: Storage, name: str, *, known: bytes | None = None) -> None:
    """Check that no file exists at a name, unless it is own, see `is_own`.

    Raises:
        OutputError: the file belongs to the user; the error names it.
        StorageError: storage failed after retries.
    """
    _find_own(storage, name, known)


def _find_own(storage: Storage, name: str, known: bytes | None = None) -> bool:
    """Return whether a file exists. Raises as `require_own`."""
    present = storage.stat(name)
    if present is not None and not _has_own_bytes(storage, name, present, known):
        raise foreign_file(storage, name)
    return present is not None


def foreign_file(storage: Storage, name: str) -> OutputError:
    """Return the error for a file that the command would replace or use, but that is not own."""
    return OutputError(
        "shardmill did not write this file, or the file was changed since",
        path=storage.display_name(name),
        hint="move the file away and run the same command again, or choose another output",
    )


@contextmanager
def create_recorded(storage: Storage, name: str) -> Iterator[StagedFile]:
    """Create a file in the block, and record it before it is published. As `Storage.create`."""
    with storage.create(name) as staged:
        hashed = _HashedFile(staged)
        yield hashed
        record_hash(storage, name, hashed.digest.hexdigest())


class _HashedFile:
    """A staged file that hashes the bytes written to it."""

    def __init__(self, staged: StagedFile) -> None:
        self._staged = staged
        self.digest = xxhash.xxh3_128()

    def write(self, data: bytes, /) -> None:
        """See `StagedFile.write`."""
        self._staged.write(data)
        self.digest.update(data)


def create_own(storage: Storage, name: str, data: bytes) -> None:
    """Record and create a small file. Raises as `Storage.create`."""
    with create_recorded(storage, name) as staged:
        staged.write(data)


def write_own(storage: Storage, name: str, data: bytes, *, known: bytes | None = None) -> None:
    """Create a small file, or replace it if it is own, see `is_own`; the caller holds the lock.

    Raises:
        OutputError: the folder cannot be written to, or the file belongs to the user.
        LockedError: the file was changed at this moment.
        StorageError: storage failed after retries.
    """
    if not _find_own(storage, name, known):
        create_own(storage, name, data)
        return
    current = storage.read(name)
    if current != data:
        record_hash(storage, name, xxhash.xxh3_128_hexdigest(data))
        storage.compare_and_swap(name, current, data)


def remove_own(storage: Storage, name: str) -> None:
    """Remove a file if it exists. Raises as `require_own`."""
    if _find_own(storage, name):  # a link that leads nowhere belongs to the user
        storage.remove(name)


def recorded_hashes(storage: Storage) -> dict[str, set[str]]:
    """Return the recorded hashes of each file; a file may be missing."""
    hashes: dict[str, set[str]] = {}
    for record in storage.list(RECORDS):
        name, _, xxh3_128 = record.removeprefix(f"{RECORDS}/").rpartition(".")
        hashes.setdefault(unquote(name), set()).add(xxh3_128)
    return hashes


def write_etag(storage: Storage, name: str, etag: str) -> None:
    """Save the ETag of a file that was just written."""
    storage.replace(f"{_ETAGS}/{name}", etag.encode())


def read_etag(storage: Storage, name: str) -> str | None:
    """Return the ETag that was saved for a file; None if there is none."""
    try:
        return storage.read(f"{_ETAGS}/{name}").decode(errors="replace")
    except FileNotFoundError:
        return None


def _record_name(name: str, xxh3_128: str) -> str:
    return f"{RECORDS}/{quote(name, safe='')}.{xxh3_128}"
