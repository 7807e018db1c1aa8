"""Unpacked copies of containers whose images are not ranges of bytes.

The members of a compressed archive can only be read from its beginning, but shards read their
images in the order of hashes. So the driver decompresses each such container once, into the work
folder of the output, and workers read ranges of this copy.
"""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.sources.containers.byte_window import ContainerBytes
from pipelines.sources.containers.kinds import kind_of
from pipelines.sources.containers.member import Container
from records.format.layout import WORK_FOLDER
from records.storage import Storage


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
