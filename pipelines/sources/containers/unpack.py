"""Unpacked copies of containers whose images are not ranges of bytes.

The members of a compressed archive can only be read from its beginning, but shards read their
images in the order of hashes. So the driver decompresses each such container once, into the work
folder of the output, and workers read ranges of this copy.
"""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock
from typing import TYPE_CHECKING

from pipelines.sources.containers.byte_window import ContainerBytes
from pipelines.sources.containers.kinds import kind_of
from pipelines.sources.containers.member import Container
from records.format.layout import WORK_FOLDER
from records.storage import Storage

if TYPE_CHECKING:
    from pipelines.sources.containers.stream import StreamBytes


def copy_name(number: int, container: Container) -> str:
    """Return the name of the copy of a container in the output."""
    return f"{WORK_FOLDER}/unpacked/{number:05d}-{container.fingerprint:016x}"


def write_copies(containers: Sequence[ContainerBytes], output: Storage) -> int:
    """Write the copies that do not exist yet, and return their number.

    Args:
        containers: the containers of the source.
        output: the storage of the dataset.

    Raises:
        CorruptDataError: a container is damaged.
        OutputError: the output cannot be written.
        StorageError: storage failed after retries.
    """
    written = 0
    for data in containers:
        name = copy_name(data.number, data.container)
        if not data.container.is_unpacked or output.stat(name) is not None:
            continue
        with output.create(name) as stream:
            for piece in kind_of(data.container.key).unpack(data):
                stream.write(piece)
        written += 1
    return written


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
