"""Unpacked copies of containers whose images are not ranges of bytes.

The members of a compressed archive can only be read from its beginning, but shards read their
images in the order of hashes. So each such container is decompressed once, into the work folder of
the output, and workers read ranges of this copy. If possible, the listing writes it: `NewCopies`.
"""

from __future__ import annotations

import resource
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Self

from pipelines.sources.containers.byte_window import ContainerBytes
from pipelines.sources.containers.kinds import kind_of
from pipelines.sources.containers.member import Container
from records.format.layout import WORK_FOLDER
from records.storage import Storage, local_path
from records.storage.local import LocalStorage
from records.storage.staging import UnnamedFile, open_unnamed

if TYPE_CHECKING:
    from pipelines.sources.containers.stream import StreamBytes


def copy_name(number: int, container: Container) -> str:
    """Return the name of the copy of a container in the output."""
    return f"{WORK_FOLDER}/unpacked/{number:05d}-{container.fingerprint:016x}"


class NewCopies:
    """Copies that are written while the containers are listed; a context manager.

    The run has not locked its output at this time. So these copies have no names, and nothing of
    them remains after an error or a kill. There may be none: then `write_copies` reads the
    container again. They are at most half of the files that this process may open.

    Args:
        output: the local path or URL of the output.
    """

    def __init__(self, output: str) -> None:
        self._folder = local_path(output)
        self._most = resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2
        self._files: dict[int, UnnamedFile] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files.values():
            file.close()

    def open(self, number: int, container: Container) -> UnnamedFile | None:
        """Return the file for the copy of a container; None if its listing writes none."""
        is_full = len(self._files) >= self._most
        if self._folder is None or is_full or not container.is_unpacked:
            return None
        file = open_unnamed(Path(self._folder).absolute())
        if file is not None:
            self._files[number] = file
        return file

    def publish(self, number: int, output: Storage, name: str) -> bool:
        """Give the copy of a container its name, and return whether it has one."""
        file = self._files.pop(number, None)
        if file is None or not isinstance(output, LocalStorage):
            return False
        return file.publish(output.path / name)


def write_copies(
    containers: Sequence[ContainerBytes], output: Storage, new: NewCopies | None = None
) -> int:
    """Write the copies that do not exist yet, and return their number.

    Args:
        containers: the containers of the source.
        output: the storage of the dataset; the caller holds its lock.
        new: copies that the listing has written.

    Raises:
        CorruptDataError: a container is damaged.
        OutputError: the output cannot be written.
        StorageError: storage failed after retries.
    """
    unpacked = (data for data in containers if data.container.is_unpacked)
    return sum(_write_copy(data, output, new) for data in unpacked)


def _write_copy(data: ContainerBytes, output: Storage, new: NewCopies | None) -> bool:
    """Write a copy, and return True; return False if there is one that can be used."""
    name = copy_name(data.number, data.container)
    if new is not None and new.publish(data.number, output, name):
        return True
    if output.is_local:
        output.remove(name)  # of a killed run: it may not be durable
    elif output.stat(name) is not None:
        return False
    with output.create(name) as stream:
        for piece in kind_of(data.container.key).unpack(data):
            stream.write(piece)
    return True


class UnstoredCopy:
    """The bytes of the unpacked copy of a container, without the copy; any thread may read them.

    A read after the previous one continues. A read before it begins at the start of the container.
    """

    def __init__(self, data: ContainerBytes) -> None:
        self._data = data
        self._lock = Lock()
        self._stream: StreamBytes | None = None

    def read(self, offset: int, size_bytes: int) -> bytes:
        """Return up to this many bytes from an offset. Raises the errors of `write_copies`."""
        from pipelines.sources.containers.stream import StreamBytes

        with self._lock:
            if self._stream is None or not self._stream.can_read(offset):
                pieces = kind_of(self._data.container.key).unpack(self._data)
                self._stream = StreamBytes(self._data, pieces)
            return self._stream.read(offset, size_bytes)
