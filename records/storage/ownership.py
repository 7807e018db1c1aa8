"""Files that runs have written into a folder, known by their content.

Before a file gets its name, its hash is recorded: by an empty file `.shardmill/written/NAME.HASH`,
or for several files by one file in `.shardmill/written/lists`, with a line `NAME.HASH` per file. A
file is replaced or removed only if its hash is recorded. So a file of the user is never mistaken
for one of a run, whatever its name is and whenever it was added. A run that is killed between the
record and the file leaves a record without a file, which has no effect.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from urllib.parse import quote, unquote

import xxhash

from records.errors import CorruptDataError, LockedError, OutputError
from records.storage.base import FileInfo, StagedFile, Storage, hash_stream, write_file
from records.storage.names import WORK_FOLDER

RECORDS = f"{WORK_FOLDER}/written"
_LISTS = f"{RECORDS}/lists"
_ETAGS = f"{WORK_FOLDER}/etags"
_NO_FILES: Mapping[str, bytes] = {}
_NOTHING_KNOWN: Mapping[str, bytes | None] = {}


def record_hash(
    storage: Storage, name: str, xxh3_128: str, following: Mapping[str, bytes] = _NO_FILES
) -> None:
    """Record the hash of a file that is about to be published.

    Args:
        storage: the storage of the file.
        name: its name.
        xxh3_128: its hash.
        following: the content of files to publish after it, by name; see `is_recorded_with`.

    Raises:
        OutputError, StorageError: the record cannot be written.
    """
    storage.replace(f"{RECORDS}/{_record(name, xxh3_128)}", _records(following))


def _record_all(storage: Storage, files: Mapping[str, bytes]) -> None:
    """Record the hashes of files that are about to be published. Raises as `Storage.create`."""
    content = _records(files)
    storage.replace(f"{_LISTS}/{xxhash.xxh3_128_hexdigest(content)}", content)


def _records(files: Mapping[str, bytes]) -> bytes:
    records = (_record(name, xxhash.xxh3_128_hexdigest(data)) for name, data in files.items())
    return "".join(f"{record}\n" for record in records).encode()


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
    return _is_recorded(storage, name, xxh3_128)


def _is_recorded(storage: Storage, name: str, xxh3_128: str) -> bool:
    record = _record(name, xxh3_128)
    if storage.stat(f"{RECORDS}/{record}") is not None:
        return True
    return record in _read_lists(storage, storage.list(_LISTS))


def is_recorded_with(
    storage: Storage, name: str, xxh3_128: str, following: str, data: bytes
) -> bool:
    """Return whether a file was recorded together with another one, see `record_hash`.

    Args:
        storage: the storage of the files.
        name: the name of the other file.
        xxh3_128: the hash of the other file.
        following: the name of the file.
        data: the content of the file.
    """
    record = f"{RECORDS}/{_record(name, xxh3_128)}"
    return _record(following, xxhash.xxh3_128_hexdigest(data)) in _read_lists(storage, [record])


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
    """Create a small file, or replace it if it is own; see `write_own_files`."""
    write_own_files(storage, {name: data}, {name: known})


def write_own_files(
    storage: Storage,
    files: Mapping[str, bytes],
    known: Mapping[str, bytes | None] = _NOTHING_KNOWN,
) -> None:
    """Create small files in their order, or replace those that are own; the caller holds the lock.

    All files have one record. A new file, or one whose content is known, takes one request more:
    the condition of the write fails if there is another file.

    Args:
        storage: the storage to write to.
        files: the content of each file, by name.
        known: the present content of files that may be replaced without a record, by name.

    Raises:
        OutputError: the folder cannot be written to, or a file belongs to the user.
        LockedError: a file was changed at this moment.
        StorageError: storage failed after retries.
    """
    changed = {name: data for name, data in files.items() if known.get(name) != data}
    if changed:
        _record_all(storage, changed)
    for name, data in changed.items():
        _write_recorded(storage, name, data, known.get(name))


def _write_recorded(storage: Storage, name: str, data: bytes, known: bytes | None) -> None:
    try:
        if known is None:
            write_file(storage, name, data)
        else:
            storage.compare_and_swap(name, known, data)
    except (FileNotFoundError, LockedError, OutputError):
        if _find_own(storage, name, known):
            storage.compare_and_swap(name, storage.read(name), data)
        elif known is None:
            raise
        else:  # removed since it was read
            write_file(storage, name, data)


def remove_own(storage: Storage, name: str) -> None:
    """Remove a file if it exists. Raises as `require_own`."""
    if _find_own(storage, name):  # a link that leads nowhere belongs to the user
        storage.remove(name)


def recorded_hashes(storage: Storage) -> dict[str, set[str]]:
    """Return the recorded hashes of each file; a file may be missing."""
    found = storage.list(RECORDS)
    lists = [name for name in found if name.startswith(f"{_LISTS}/")]
    records = {name.removeprefix(f"{RECORDS}/") for name in found if name not in lists}
    hashes: dict[str, set[str]] = {}
    for record in records | _read_lists(storage, lists):
        name, _, xxh3_128 = record.rpartition(".")
        hashes.setdefault(unquote(name), set()).add(xxh3_128)
    return hashes


def _read_lists(storage: Storage, names: Sequence[str]) -> set[str]:
    """Return all lines of lists of records."""
    lines: set[str] = set()
    for name in names:
        with suppress(FileNotFoundError, CorruptDataError):  # its run has ended
            lines.update(storage.read(name).decode(errors="replace").split())
    return lines


def write_etag(storage: Storage, name: str, etag: str) -> None:
    """Save the ETag of a file that was just written."""
    storage.replace(f"{_ETAGS}/{name}", etag.encode())


def read_etag(storage: Storage, name: str) -> str | None:
    """Return the ETag that was saved for a file; None if there is none."""
    try:
        return storage.read(f"{_ETAGS}/{name}").decode(errors="replace")
    except FileNotFoundError:
        return None


def _record(name: str, xxh3_128: str) -> str:
    return f"{quote(name, safe='')}.{xxh3_128}"
