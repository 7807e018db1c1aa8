"""Kinds of containers, by the names of files."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from pipelines.sources.containers.byte_window import ContainerBytes
from pipelines.sources.containers.entry import Entry

CIFAR_NAMES = (
    *(f"data_batch_{number}.bin" for number in range(1, 6)),
    *("test_batch.bin", "train.bin", "test.bin"),
)
"""The names of the binary files of CIFAR-10 and CIFAR-100."""
_DECOMPRESS = "stream.decompress"


class Kind(NamedTuple):
    """A kind of container; its module is imported when a container is read.

    Attributes:
        name: the name for users.
        lister: the function that lists the entries of a container, as `module.name`.
        unpacker: the function that yields the bytes of the unpacked copy, to which the offsets of
            members refer; None if they refer to the container.
        gives: what each image has in the container, for messages.
        options: the options for several labels and for columns that apply to the container.
    """

    name: str
    lister: str
    unpacker: str | None = None
    gives: str = "no labels and no columns"
    options: frozenset[str] = frozenset()

    @property
    def is_unpacked(self) -> bool:
        """Whether workers read an unpacked copy."""
        return self.unpacker is not None

    def list_entries(self, data: ContainerBytes) -> Iterator[Entry]:
        """Yield the entries of a container. Raises CorruptDataError, UsageError."""
        entries: Iterator[Entry] = _import(self.lister)(data)
        return entries

    def unpack(self, data: ContainerBytes) -> Iterator[bytes]:
        """Yield the bytes of the unpacked copy of a container. Raises as `list_entries`."""
        pieces: Iterator[bytes] = _import(self.unpacker or _DECOMPRESS)(data)
        return pieces


def _import(function: str) -> Any:
    module, _, name = function.rpartition(".")
    return getattr(importlib.import_module(f"{__package__}.{module}"), name)


_ALL = frozenset(("--multi-label", "--keep-columns", "--target-column"))
_TAR = Kind(
    "compressed TAR archive", "formats.webdataset.list_compressed_tar", _DECOMPRESS, options=_ALL
)
_IDX = Kind(
    "idx file", "formats.arrays.list_idx", gives="one label, from the file labels-idx1-ubyte"
)
_CIFAR = Kind(
    "CIFAR file",
    "formats.arrays.list_cifar_file",
    gives="one label, and coarse_label in CIFAR-100",
    options=_ALL - {"--multi-label"},
)
_TFRECORD = Kind("TFRecord file", "formats.tfrecord.list_tfrecords", options=_ALL)
_TFRECORD_SUFFIXES = (".tfrecord", ".tfrecords", ".tfrec", "_tfrecord")
"""The last is that of TFX, in `data_tfrecord-00000-of-00001.gz`."""
_COMPRESSED_TFRECORD = _TFRECORD._replace(
    name="compressed TFRecord file",
    lister="formats.tfrecord.list_compressed_tfrecords",
    unpacker=_DECOMPRESS,
)
_KINDS: dict[str, Kind] = {
    ".zip": Kind("ZIP archive", "formats.zip.list_zip"),
    ".tar": Kind("TAR archive", "formats.webdataset.list_tar_samples", options=_ALL),
    **dict.fromkeys((".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst"), _TAR),
    ".parquet": Kind(
        "Parquet file",
        "formats.parquet.list_parquet",
        "formats.parquet.unpack_parquet",
        options=_ALL,
    ),
    **dict.fromkeys(_TFRECORD_SUFFIXES, _TFRECORD),
    **dict.fromkeys((f"{suffix}.gz" for suffix in _TFRECORD_SUFFIXES), _COMPRESSED_TFRECORD),
    ".array_record": Kind(
        "ArrayRecord file",
        "formats.array_record.list_array_records",
        "formats.array_record.unpack_array_records",
        options=_ALL,
    ),
    ".mds": Kind("MDS file", "formats.mds.list_mds", options=_ALL),
    ".npz": Kind("NumPy file", "formats.npz.list_npz", "formats.npz.unpack_npz", options=_ALL),
    **dict.fromkeys(("images-idx3-ubyte", "images.idx3-ubyte"), _IDX),
    **dict.fromkeys(
        ("images-idx3-ubyte.gz", "images.idx3-ubyte.gz"), _IDX._replace(unpacker=_DECOMPRESS)
    ),
    **dict.fromkeys(CIFAR_NAMES, _CIFAR),
}
SUFFIXES = tuple(_KINDS)
"""The suffixes of the names of containers, in lower case."""
_NUMBERS = re.compile(r"-\d{5,}-of-\d{5,}(?=(?:\.gz)?$)")
"""Numbers after the suffix, or before its `.gz`: `.tfrecord-00000-of-00128.gz`."""
_LONGEST = max(map(len, SUFFIXES)) + len("-00000-of-00000") + 4


def suffix_of(name: str | bytes) -> str | None:
    """Return the suffix of the name of a container in lower case; None for any other file."""
    text = name.decode("utf-8", "replace") if isinstance(name, bytes) else name
    lower, _ = _separate_numbers(text[-_LONGEST:].lower())
    if not lower.endswith(SUFFIXES):
        return None
    return next((suffix for suffix in _KINDS if lower.endswith(suffix)), None)


def stem_of(name: bytes) -> bytes:
    """Return the last part of the path of a container, without its suffix."""
    base = name.rpartition(b"/")[2]
    suffix = suffix_of(base)
    if suffix is None:
        return base
    if suffix in CIFAR_NAMES:  # the whole name
        suffix = ".bin"
    rest, numbers = _separate_numbers(base.decode("latin-1"))
    return (rest[: -len(suffix)] + numbers).rstrip("-_.").encode("latin-1")


def _separate_numbers(name: str) -> tuple[str, str]:
    """Return the name of a file without the numbers of the shard, and the numbers."""
    found = _NUMBERS.search(name) if "-of-" in name else None
    return (name, "") if found is None else (name[: found.start()] + name[found.end() :], found[0])


def kind_of(name: bytes) -> Kind:
    """Return the kind of a container. Raises KeyError if the name is not that of one."""
    return _KINDS[suffix_of(name) or ""]
