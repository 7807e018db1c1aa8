"""Uncompressed copies of GZIP files, as shards.

The records of a dataset are read by offset, which a compressed file does not allow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from records.errors import StorageError, UsageError
from records.format.digest import digest_stream
from records.format.tfrecord_compression import open_tfrecord
from records.text.formatting import pluralize

if TYPE_CHECKING:
    from collections.abc import Iterable

    from records.inspection.file_summary import FileSummary
    from records.storage import Storage

_SUFFIX = ".gz"
_HINT = "run `shardmill salvage FILE OUTPUT` to copy the intact records to an uncompressed file"


class FileToAdopt(NamedTuple):
    """A file to adopt.

    Attributes:
        source: the name of the file.
        shard: the name of its shard: of the file or, if it is compressed, of its uncompressed copy.
    """

    source: str
    shard: str

    @property
    def is_unpacked(self) -> bool:
        """Whether the shard is an uncompressed copy."""
        return self.shard != self.source


def find_shard(summary: FileSummary, path: str) -> FileToAdopt:
    """Return a file with the name of its shard.

    Args:
        summary: the summary of the file.
        path: the path of the file, for messages.

    Raises:
        UsageError: the file is compressed, but not a GZIP file with the suffix `.gz`.
    """
    name, compression = summary.name, summary.compression
    if compression is None:
        return FileToAdopt(name, name)
    if compression != "gzip":
        raise UsageError(
            f"a {compression.upper()} file cannot be adopted: its records cannot be read by offset",
            path=path,
            hint=_HINT,
        )
    shard = name.removesuffix(_SUFFIX)
    if shard == name or not shard.rpartition("/")[2]:
        raise UsageError(
            "a GZIP file needs a name that ends in .gz: its uncompressed copy has the name without"
            " .gz",
            path=path,
            hint="rename the file",
        )
    return FileToAdopt(name, shard)


def write_unpacked(storage: Storage, file: FileToAdopt, sha256: str) -> None:
    """Write the uncompressed copy of a file.

    Args:
        storage: the folder of the file.
        file: the file.
        sha256: the SHA-256 of the decompressed bytes when the file was scanned.

    Raises:
        StorageError: the file was changed after it was scanned.
        OutputError: the copy cannot be written, or a different file has its name.
    """
    with storage.open(file.source) as stream, storage.create(file.shard) as staged:
        if digest_stream(open_tfrecord(stream), staged.write).sha256 != sha256:
            raise StorageError(
                "the file was changed while it was read", path=storage.display_name(file.source)
            )


def describe_unpacked(files: Iterable[FileToAdopt]) -> tuple[str, ...]:
    """Return a note about the files whose shards are uncompressed copies, if there are any."""
    unpacked = [file for file in files if file.is_unpacked]
    if not unpacked:
        return ()
    names = pluralize(len(unpacked), "compressed file")
    shard = unpacked[0].shard
    return (f"the shards of {names} are uncompressed copies, such as {shard}",)
