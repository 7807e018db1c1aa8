"""SHA-256 of the files of a run, `digests.json`.

    {"format_version": 1, "files": {"config.json": [{"bytes": 912, "sha256": "8c35…"}], …}}

Only the process that trains the run writes this file. While a file is replaced, it has two digests,
the old and the new, so that the process can be killed at any time: the file matches one of them.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import msgspec

from records.errors import CorruptDataError
from records.format.digest import FileDigest, digest_of, digest_stream
from records.storage.atomic import atomic_file
from records.storage.local import LocalStorage
from records.strict_json import decode_versioned, encode_canonical

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping
    from pathlib import Path
    from typing import BinaryIO

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


def read_checked(run: Path, name: str, *, hint: str = RESTORE) -> bytes:
    """Return the content of a file of a run, after checking its digest.

    Args:
        run: the run folder.
        name: the name of the file in it.
        hint: the next step if the file is damaged.

    Raises:
        FileNotFoundError: the file does not exist.
        CorruptDataError: the file, or `digests.json`, is damaged.
        StorageError: storage failed.
    """
    return _read(run, name, lambda stream: stream.read(), digest_of, hint)


def check_file(run: Path, name: str, *, hint: str = RESTORE) -> None:
    """Check the digest of a file of a run, of any size. Raises as `read_checked`."""
    _read(run, name, digest_stream, lambda digest: digest, hint)


def _read(
    run: Path,
    name: str,
    read: Callable[[BinaryIO], _Content],
    digest: Callable[[_Content], FileDigest],
    hint: str,
) -> _Content:
    storage = LocalStorage(str(run))
    earlier = None
    while True:
        with storage.open(name) as stream:
            content = read(stream)
        found, listed = digest(content), _read_digests(run)
        if found in listed.get(name, ()):
            return content
        if listed == earlier:
            break
        earlier = listed  # a process that trains may have replaced the file after it was read
    expected = [f"SHA-256 {each.sha256}" for each in listed.get(name, ())]
    raise CorruptDataError(
        "the file was changed after the run wrote it",
        path=storage.display_name(name),
        expected=" or ".join(expected) or f"a file that {DIGESTS} lists",
        got=f"SHA-256 {found.sha256}",
        hint=hint,
    )


@contextmanager
def recording(run: Path, digests: Mapping[str, FileDigest]) -> Iterator[None]:
    """Record the digests of files that the block writes.

    Digests of files that do not exist, such as removed checkpoints, are dropped.

    Raises:
        CorruptDataError: `digests.json` is damaged.
        OSError: it cannot be written.
    """
    kept = {name: found for name, found in _read_digests(run).items() if (run / name).exists()}
    either = {name: (*kept.get(name, ()), new) for name, new in digests.items()}
    _write(run, {**kept, **either})
    yield
    # After the files of a finished run are written, nothing may change: no command would remove the
    # staged file of a process that is killed then.
    if not kept.keys().isdisjoint(digests):
        _write(run, {**kept, **{name: (new,) for name, new in digests.items()}})


def forget(run: Path, names: Collection[str]) -> None:
    """Drop the digests of files that are written without digests. Raises as `recording`."""
    listed = _read_digests(run)
    if not listed.keys().isdisjoint(names):
        _write(run, {name: found for name, found in listed.items() if name not in names})


def _encode(files: dict[str, tuple[FileDigest, ...]]) -> bytes:
    return encode_canonical(RunDigests(_FORMAT_VERSION, files))


def _write(run: Path, files: dict[str, tuple[FileDigest, ...]]) -> None:
    with atomic_file(run / DIGESTS) as staged:
        staged.write_bytes(_encode(files))


def _read_digests(run: Path) -> dict[str, tuple[FileDigest, ...]]:
    storage = LocalStorage(str(run))
    try:
        content = storage.read(DIGESTS)
    except FileNotFoundError:
        raise CorruptDataError(
            "a file of the run is missing", path=storage.display_name(DIGESTS), hint=RESTORE
        ) from None
    return decode_versioned(
        content,
        RunDigests,
        version=_FORMAT_VERSION,
        what="the digests of a run",
        path=storage.display_name(DIGESTS),
    ).files
