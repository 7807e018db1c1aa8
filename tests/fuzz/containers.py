"""Fuzz target of containers: list all members of a file, and read each."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
from collections.abc import Callable
from contextlib import suppress
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import numpy as np

from pipelines.sources.cells import require_short
from pipelines.sources.containers.entry import name_problem
from pipelines.sources.containers.files import ContainerFiles
from pipelines.sources.containers.kinds import kind_of
from pipelines.sources.containers.member import Container
from pipelines.sources.containers.read import ChangedMemberError
from pipelines.sources.containers.unpack import NewCopies
from pipelines.sources.containers.wanted import WantedFields
from pipelines.sources.reader import UnreadableError
from pipelines.sources.walk import ListedFile, Listing
from records.errors import ShardmillError
from records.storage.local import LocalStorage
from tests.pipelines.pictures import PICTURE
from tests.pipelines.sources.containers.forms import (
    mds_bytes,
    parquet_bytes,
    tar_bytes,
    tfrecord_bytes,
    zip_bytes,
)
from tests.pipelines.sources.lists.shapes import parquet

_MOST_GROWTH = 1100
_MOST_SMALL_BYTES = 20 << 20
_ALL_FIELDS = WantedFields(keeps_all=True, is_multi_label=True)
_PICTURES = [(f"cat/{number}.png", bytes([number]) * 700) for number in range(3)]
_PICTURES += [
    ("dog/" + 80 * "x" + "/" + 80 * "y", b"dog"),
    ("dog/", b""),
    ("ünï.png", b"\0" * 3000),
]
_MDS_ROWS = [(b"a.png", b'["a", "b"]'), ("ü".encode(), b"[]"), (b"../x", b"{}")]


class OneFile:
    """A source in which the name `name` is a file of these bytes; see `SourceFiles`."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def walk(self, *, follow_symlinks: bool) -> Listing:
        """Return an empty listing."""
        return Listing()

    def find(self, key: bytes, *, follow_symlinks: bool) -> ListedFile | None:
        """Return the file."""
        return ListedFile(key, len(self._content), 1)

    def read(self, key: bytes, size_bytes: int, *, linked: bool = True) -> bytes:
        """Return the bytes."""
        return self._content

    def read_range(self, key: bytes, offset: int, size_bytes: int, *, linked: bool = True) -> bytes:
        """Return a part of the bytes."""
        assert offset >= 0
        assert size_bytes >= 0
        return self._content[offset : offset + size_bytes]

    def read_head(self, key: bytes, *, linked: bool = True) -> bytes:
        """Return the first bytes."""
        return self._content[:64]


def check_container(suffix: str) -> Callable[[bytes], None]:
    """Return a check of the files with a suffix."""

    def check(content: bytes) -> None:
        name = f"a{suffix}".encode()
        container = Container(name, len(content), 1, kind_of(name).is_unpacked)
        files = ContainerFiles("fuzzed", OneFile(content), [container], wanted=_ALL_FIELDS)
        with suppress(ShardmillError):
            for given in files.members.given or []:
                require_short(given.fields, "fuzzed")
        files = ContainerFiles("fuzzed", OneFile(content), [container])
        with suppress(ShardmillError):
            listing = files.walk()
            read_bytes = 0
            for file in listing.files:
                assert name_problem(file.key) is None
                assert file.member is not None
                with suppress(UnreadableError):
                    files.read_head(file.key)
                    data = files.read_member(file.member, file.size_bytes)
                    # Samples are read as a PNG file.
                    assert len(data) == file.size_bytes or file.key.endswith(b".png")
                    read_bytes += len(data)
            assert read_bytes <= _MOST_GROWTH * len(content) + _MOST_SMALL_BYTES
        if container.is_unpacked:
            with TemporaryDirectory() as folder, NewCopies(folder) as copies:
                _check_copy(OneFile(content), container, copies, LocalStorage(folder))

    return check


def _check_copy(
    file: OneFile, container: Container, copies: NewCopies, output: LocalStorage
) -> None:
    """Check that the copy that the listing writes has the bytes of all members."""
    listed = ContainerFiles("fuzzed", file, [container], new_copies=copies)
    with suppress(ShardmillError):
        listing = listed.walk()
        listed.unpack(output, copies)
        files = ContainerFiles("fuzzed", file, [container], copies=output)
        for member in listing.files:
            assert member.member is not None
            try:
                files.read_member(member.member, member.size_bytes)
            except ChangedMemberError:
                raise
            except UnreadableError:
                pass


def zips() -> list[bytes]:
    """Return ZIP archives, stored and deflated, and with numbers of 64 bits."""
    methods = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
    wide = io.BytesIO()
    archive = zipfile.ZipFile(wide, "w")
    for name, data in _PICTURES:
        archive.writestr(name, data)
    with patch("zipfile.ZIP64_LIMIT", 0):  # of the central directory
        archive.close()
    return [wide.getvalue(), *(zip_bytes(_PICTURES, method) for method in methods)]


def tars() -> list[bytes]:
    """Return TAR archives of three formats, and one of archives."""
    inner = tar_bytes(_PICTURES, format=1)
    nested = tar_bytes([("n01.tar", inner), ("n02.tar", inner)])
    fields = b'{"labels": ["a", "b"], "age": 3, "site": "x", "pose": {"x": [1.5, null]}}'
    sample = tar_bytes([("1.png", PICTURE), ("1.json", fields), ("2.cls", b"a\nb"), ("2.png", b"")])
    return [nested, sample, *(tar_bytes(_PICTURES[:-1], format=number) for number in range(3))]


def compressed_tars() -> list[bytes]:
    """Return compressed TAR archives; the first bytes decide on the compression, not the name."""
    return [compress(tars()[1]) for compress in (bz2.compress, gzip.compress, lzma.compress)]


def parquets() -> list[bytes]:
    """Return Parquet files of images, with and without dictionaries and compression."""
    rows = [(name, data, number % 2) for number, (name, data) in enumerate(_PICTURES)]
    return [
        parquet_bytes(rows, ["cat", "dog"]),
        parquet_bytes(rows, None, use_dictionary=False, compression="none", row_group_size=2),
        parquet_bytes(rows, ["cat", "dog"], compression="zstd", data_page_version="2.0"),
        parquet(
            {
                "image": [PICTURE, b"", PICTURE],
                "labels": [["a", "b"], [], None],
                "age": [1.5, None, 3.0],
                "ids": [[1, 2], [3], []],
            }
        ),
    ]


def npz_files() -> list[bytes]:
    """Return files of arrays of NumPy, compressed and not."""
    arrays: dict[str, Any] = {"x_train": np.zeros((6, 5, 4), np.uint8), "y_train": np.arange(6)}
    found = []
    for save in (np.savez, np.savez_compressed):
        sink = io.BytesIO()
        save(sink, other=np.zeros(3), **arrays)
        found.append(sink.getvalue())
    return found


def idx_files() -> list[bytes]:
    """Return idx files of images, compressed and not; each is also the file of its labels."""
    content = b"\0\0\x08\3" + b"".join(n.to_bytes(4, "big") for n in (6, 5, 4)) + bytes(120)
    return [content, gzip.compress(content)]


def cifar_files() -> list[bytes]:
    """Return an archive with binary files of CIFAR."""
    record = bytes((3, *range(256))) + bytes(3073 - 257)
    files = [("c/data_batch_1.bin", record * 2), ("c/test_batch.bin", record)]
    return [tar_bytes(files, format=0)]


def tfrecords() -> list[bytes]:
    """Return TFRecord files of images."""
    rows = [(name, picture, "cat") for name, picture in (("a.png", PICTURE), ("b.png", PICTURE))]
    return [tfrecord_bytes(rows)]


def mds_files() -> list[bytes]:
    """Return MDS shards of images, with columns of several encodings."""
    columns = {"age": "int", "image": "png", "key": "str", "labels": "json", "size": "float32"}
    age, size = (3).to_bytes(8, "little"), bytes(4)
    rows = [(age, PICTURE, name, labels, size) for name, labels in _MDS_ROWS]
    return [
        mds_bytes(columns, rows),
        mds_bytes({"image": "bytes", "label": "str_int"}, [(PICTURE, b"7"), (b"", b"")]),
        mds_bytes({"image": "jpeg:90", "class_name": "str"}, []),
    ]
