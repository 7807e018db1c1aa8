"""SHA-256 of the files of a run, `digests.json`.

    {"format_version": 1, "files": {"config.json": [{"bytes": 912, "sha256": "8c35…"}], …}}

Only the process that trains the run writes this file. While a file is replaced, it has two digests,
the old and the new, so that the process can be killed at any time: the file matches one of them.
"""

from __future__ import annotations

import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec

from records.errors import CorruptDataError
from records.format.digest import FileDigest, digest_of, digest_stream
from records.storage.errors import HINT_FIX, translate_write_errors
from records.strict_json import decode_versioned, encode_canonical

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping
    from typing import BinaryIO

    from trainers.runs.run_folder import RunFolder

DIGESTS = "digests.json"
RESTORE = "restore the file from a copy, or train a new run"
_FORMAT_VERSION = 1
_Content = TypeVar("_Content")


class RunDigests(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of `digests.json`.

    Attributes:
        format_version: the format version of this file.
        files: the digests that each file may have, by the name of the file in the run folder.
    """

    format_version: int
    files: dict[str, tuple[FileDigest, ...]]


def encode_digests(contents: Mapping[str, bytes]) -> bytes:
    """Return the content of `digests.json` for files with these contents."""
    return _encode({name: (digest_of(content),) for name, content in contents.items()})


def read_checked(folder: RunFolder, name: str, *, hint: str = RESTORE) -> bytes:
    """Return the content of a file of a run, after checking its digest.

    Args:
        folder: the run folder.
        name: the name of the file in it.
        hint: the next step if the file is damaged.

    Raises:
        FileNotFoundError: the file does not exist.
        CorruptDataError: the file, or `digests.json`, is damaged.
        StorageError: storage failed.
    """
    return _read(folder, name, lambda stream: stream.read(), digest_of, hint)


def check_file(folder: RunFolder, name: str, *, hint: str = RESTORE) -> None:
    """Check the digest of a file of a run, of any size. Raises as `read_checked`."""
    _read(folder, name, digest_stream, lambda digest: digest, hint)


@contextmanager
def checked_file(folder: RunFolder, name: str, *, hint: str = RESTORE) -> Iterator[Path]:
    """Yield the path of a file of a run, after checking its digest.

    For a run at a URL, this is a copy in the temporary folder, which is removed after the block.

    Raises:
        OutputError: the copy cannot be written.
        FileNotFoundError, CorruptDataError, StorageError: as `read_checked`.
    """
    path = folder.local_path(name)
    if path is not None:
        check_file(folder, name, hint=hint)
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="shardmill-") as temporary:
        copy = Path(temporary, name.rpartition("/")[2])
        _read(folder, name, lambda stream: _copy(stream, copy), lambda digest: digest, hint)
        yield copy


def _copy(stream: BinaryIO, copy: Path) -> FileDigest:
    with translate_write_errors(str(copy), hint=HINT_FIX), copy.open("wb") as target:
        shutil.copyfileobj(stream, target)
    with copy.open("rb") as written:
        return digest_stream(written)


def _read(
    folder: RunFolder,
    name: str,
    read: Callable[[BinaryIO], _Content],
    digest: Callable[[_Content], FileDigest],
    hint: str,
) -> _Content:
    earlier = None
    while True:
        with folder.open(name) as stream:
            content = read(stream)
        found, listed = digest(content), _decode(folder, _read_digests(folder))
        if found in listed.get(name, ()):
            return content
        if listed == earlier:
            break
        earlier = listed  # a process that trains may have replaced the file after it was read
    expected = [f"SHA-256 {each.sha256}" for each in listed.get(name, ())]
    raise CorruptDataError(
        "the file was changed after the run wrote it",
        path=folder.display_name(name),
        expected=" or ".join(expected) or f"a file that {DIGESTS} lists",
        got=f"SHA-256 {found.sha256}",
        hint=hint,
    )


@contextmanager
def recording(folder: RunFolder, digests: Mapping[str, FileDigest]) -> Iterator[None]:
    """Record the digests of files that the block writes.

    Digests of files that do not exist, such as removed checkpoints, are dropped.

    Raises:
        CorruptDataError: `digests.json` is damaged.
        LockedError: another process has taken over the lease of the run.
        OutputError, StorageError: it cannot be written.
    """
    content = _read_digests(folder)
    listed = _decode(folder, content)
    kept = {name: found for name, found in listed.items() if folder.stat(name) is not None}
    either = {name: (*kept.get(name, ()), new) for name, new in digests.items()}
    content = _swap(folder, content, {**kept, **either})
    yield
    # After the files of a finished run are written, nothing may change: no command would remove the
    # staged file of a process that is killed then.
    if not kept.keys().isdisjoint(digests):
        _swap(folder, content, {**kept, **{name: (new,) for name, new in digests.items()}})


def forget(folder: RunFolder, names: Collection[str]) -> None:
    """Drop the digests of files that are written without digests. Raises as `recording`."""
    content = _read_digests(folder)
    listed = _decode(folder, content)
    if not listed.keys().isdisjoint(names):
        _swap(folder, content, {name: listed[name] for name in listed if name not in names})


def _encode(files: dict[str, tuple[FileDigest, ...]]) -> bytes:
    return encode_canonical(RunDigests(_FORMAT_VERSION, files))


def _swap(folder: RunFolder, old: bytes, files: dict[str, tuple[FileDigest, ...]]) -> bytes:
    """Replace the content `old` of `digests.json`, and return the new content."""
    new = _encode(files)
    folder.swap(DIGESTS, old, new)
    return new


def _read_digests(folder: RunFolder) -> bytes:
    try:
        with folder.open(DIGESTS) as stream:
            return stream.read()
    except FileNotFoundError:
        raise CorruptDataError(
            "a file of the run is missing", path=folder.display_name(DIGESTS), hint=RESTORE
        ) from None


def _decode(folder: RunFolder, content: bytes) -> dict[str, tuple[FileDigest, ...]]:
    return decode_versioned(
        content,
        RunDigests,
        version=_FORMAT_VERSION,
        what="the digests of a run",
        path=folder.display_name(DIGESTS),
    ).files
