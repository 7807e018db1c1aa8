"""Kinds of containers, by the names of files."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from pipelines.sources.containers.byte_window import ContainerBytes
from pipelines.sources.containers.entry import Entry
from pipelines.sources.containers.formats.arrays import (
    CIFAR_NAMES,
    expand_cifar,
    list_cifar_file,
    list_idx,
)
from pipelines.sources.containers.formats.npz import list_npz, unpack_npz
from pipelines.sources.containers.formats.parquet import list_parquet, unpack_parquet
from pipelines.sources.containers.formats.tar import list_tar
from pipelines.sources.containers.formats.tfrecord import (
    TFRECORD_SUFFIXES,
    list_compressed_tfrecords,
    list_tfrecords,
)
from pipelines.sources.containers.formats.webdataset import read_samples
from pipelines.sources.containers.formats.zip import list_zip
from pipelines.sources.containers.stream import StreamBytes, decompress, hash_members


def _list_tar(data: ContainerBytes) -> Iterator[Entry]:
    return read_samples(expand_cifar(list_tar(data), data), data)


def _list_compressed_tar(data: ContainerBytes) -> Iterator[Entry]:
    stream = StreamBytes(data)
    entries = hash_members(expand_cifar(list_tar(stream), stream), stream)
    return read_samples(entries, stream)


class Kind(NamedTuple):
    """A kind of container.

    Attributes:
        name: the name for users.
        list_entries: the function that lists the entries of a container.
        unpack: the function that yields the bytes of the unpacked copy, to which the offsets of
            members refer; None if they refer to the container.
    """

    name: str
    list_entries: Callable[[ContainerBytes], Iterator[Entry]]
    unpack: Callable[[ContainerBytes], Iterator[bytes]] | None = None


_COMPRESSED_TAR = Kind("compressed TAR archive", _list_compressed_tar, decompress)
_KINDS: dict[str, Kind] = {
    ".zip": Kind("ZIP archive", list_zip),
    ".tar": Kind("TAR archive", _list_tar),
    ".npz": Kind("NumPy file", list_npz, unpack_npz),
    **dict.fromkeys(("images-idx3-ubyte", "images.idx3-ubyte"), Kind("idx file", list_idx)),
    **dict.fromkeys(
        ("images-idx3-ubyte.gz", "images.idx3-ubyte.gz"),
        Kind("idx file", list_idx, decompress),
    ),
    **dict.fromkeys(CIFAR_NAMES, Kind("CIFAR file", list_cifar_file)),
    **dict.fromkeys(TFRECORD_SUFFIXES, Kind("TFRecord file", list_tfrecords)),
    **dict.fromkeys(
        [f"{suffix}.gz" for suffix in TFRECORD_SUFFIXES],
        Kind("compressed TFRecord file", list_compressed_tfrecords, decompress),
    ),
    ".parquet": Kind("Parquet file", list_parquet, unpack_parquet),
    **dict.fromkeys(
        (".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst"), _COMPRESSED_TAR
    ),
}
SUFFIXES = tuple(_KINDS)
"""The suffixes of the names of containers, in lower case."""
_SHARD = re.compile(r"-\d{5,}-of-\d{5,}$")
"""Numbers after the suffix: `.tfrecord-00000-of-00128`."""
_LONGEST = max(map(len, SUFFIXES)) + len("-00000-of-00000") + 4


def suffix_of(name: str | bytes) -> str | None:
    """Return the suffix of the name of a container in lower case; None for any other file."""
    text = name.decode("utf-8", "replace") if isinstance(name, bytes) else name
    lower = _SHARD.sub("", text[-_LONGEST:].lower())
    return next((suffix for suffix in _KINDS if lower.endswith(suffix)), None)


def stem_of(name: bytes) -> bytes:
    """Return the last part of the path of a container, without its suffix."""
    base = name.rpartition(b"/")[2]
    suffix = suffix_of(base) or ""
    if suffix in CIFAR_NAMES:  # the whole name
        suffix = ".bin"
    start = base.lower().rfind(suffix.encode())
    return (base[:start] + base[start + len(suffix) :]).rstrip(b"-_.") if suffix else base


def kind_of(name: bytes) -> Kind:
    """Return the kind of a container. Raises KeyError if the name is not that of one."""
    return _KINDS[suffix_of(name) or ""]
