"""The bytes of a container, read in blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from pipelines.sources.containers.member import Container
from pipelines.sources.containers.wanted import NO_FIELDS, WantedFields
from pipelines.sources.reader import SourceFiles, UnreadableError
from records.errors import CorruptDataError, InputNotFoundError
from records.storage.staging import UnnamedFile
from records.text.escaping import escape_for_display
from records.text.keys import key_to_text

LOCAL_BLOCK_BYTES = 64 << 10
REMOTE_BLOCK_BYTES = 8 << 20
_LEAST_BLOCK_BYTES = 4 << 10
_POINTER = b"version https://git-lfs.github.com/"
_MOST_POINTER_BYTES = 1024


class ContainerBytes(Protocol):
    """The bytes of a container; offsets of calls mostly increase."""

    shown: str
    """The path or URL of the container, for messages."""
    container: Container
    number: int
    """The number of the container, from 0."""
    end: int | None
    """The number of bytes; None if it is not known before the end is read."""
    wanted: WantedFields
    """The columns and fields that the user names."""
    notes: list[str]
    """Remarks on the content, for the report."""
    copy: UnnamedFile | None
    """The file to which the lister of an unpacked container also writes the copy, if any."""

    def read(self, offset: int, size_bytes: int) -> bytes:
        """Return bytes from `offset`; fewer than `size_bytes` only at the end."""

    def sibling(self, key: bytes) -> ContainerBytes | None:
        """Return another file of the source; None if there is none with this key."""


class ByteWindow:
    """The bytes of a file, read in blocks; see `ContainerBytes`.

    Args:
        files: the files of the source.
        container: the file.
        number: the number of the container.
        shown: the path or URL of the file, for messages.
        block_bytes: the largest number of bytes to read for a request of less than 64 KiB.
        wanted: the columns and fields that the user names.
        copy: see `ContainerBytes.copy`.
    """

    def __init__(
        self,
        files: SourceFiles,
        container: Container,
        number: int,
        shown: str,
        *,
        block_bytes: int,
        wanted: WantedFields = NO_FIELDS,
        copy: UnnamedFile | None = None,
    ) -> None:
        self._files = files
        self.container = container
        self.number = number
        self.shown = shown
        self.end: int | None = container.size_bytes
        self.wanted = wanted
        self.notes: list[str] = []
        self.copy = copy
        self._block_bytes = self._step_bytes = block_bytes
        self._start, self._block = 0, b""

    def read(self, offset: int, size_bytes: int) -> bytes:
        """See `ContainerBytes.read`."""
        first = offset - self._start
        if first < 0 or first + size_bytes > len(self._block):
            self._adapt(offset)
            least_bytes = self._step_bytes if size_bytes < LOCAL_BLOCK_BYTES else 0
            wanted = min(max(size_bytes, least_bytes), self.container.size_bytes - offset)
            self._start, first = offset, 0
            self._block = read_container(
                lambda: self._files.read_range(self.container.key, offset, max(wanted, 0)),
                self.shown,
            )
        return self._block[first : first + size_bytes]

    def _adapt(self, offset: int) -> None:
        """Read less at a time if the last block was left for a position after its end."""
        if offset > self._start + len(self._block):
            self._step_bytes = max(_LEAST_BLOCK_BYTES, self._step_bytes // 2)
        else:
            self._step_bytes = min(self._block_bytes, self._step_bytes * 2)

    def sibling(self, key: bytes) -> ContainerBytes | None:
        """See `ContainerBytes.sibling`."""
        file = self._files.find(key, follow_symlinks=False)
        if file is None:
            return None
        container = Container(key, file.size_bytes, file.fingerprint)
        shown = self.shown.removesuffix(escape_for_display(key_to_text(self.container.key)))
        return ByteWindow(
            self._files,
            container,
            self.number,
            shown + escape_for_display(key_to_text(key)),
            block_bytes=self._block_bytes,
        )


def read_container(read: Callable[[], bytes], shown: str) -> bytes:
    """Return the bytes that `read` returns.

    Raises:
        InputNotFoundError: the container cannot be read.
        StorageError: storage failed after retries.
    """
    try:
        return read()
    except UnreadableError as error:
        raise InputNotFoundError(
            "the container cannot be read", path=shown, got=error.rejection.detail
        ) from error


def copied(pieces: Iterator[bytes], copy: UnnamedFile | None) -> Iterator[bytes]:
    """Yield pieces of an unpacked container, written to its copy if there is a file for it."""
    for piece in pieces:
        if copy is not None:
            copy.write(piece)
        yield piece


def damaged(data: ContainerBytes, what: str, offset: int | None = None) -> CorruptDataError:
    """Return the error for a container whose structure is invalid."""
    is_small = data.container.size_bytes <= _MOST_POINTER_BYTES
    if is_small and data.read(0, len(_POINTER)) == _POINTER:
        return CorruptDataError(
            "the container is a pointer of Git LFS, and not the file itself",
            path=data.shown,
            hint="run `git lfs pull` in its repository, or download the file itself",
        )
    return CorruptDataError(
        f"the container is damaged: {what}",
        path=data.shown,
        offset=offset,
        hint="copy or download the file again; or extract it with its own program, and convert the "
        "folder",
    )
