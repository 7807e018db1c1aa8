"""Arrays of NumPy's .npz files; objects are never unpickled."""

from __future__ import annotations

import math
import re
import sys
import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipelines.sources.containers.byte_window import ContainerBytes, damaged
from pipelines.sources.containers.entry import Entry
from pipelines.sources.containers.formats.arrays import array_shape
from pipelines.sources.containers.formats.zip import list_zip
from pipelines.sources.containers.member import ArrayShape
from pipelines.sources.containers.read import zip_pieces
from pipelines.sources.reader import UnreadableError
from records.text.escaping import escape_for_display

MOST_VALUE_BYTES = 64 << 20
"""The largest size of an array of labels, and of all arrays to keep."""
_MAGIC = b"\x93NUMPY"
_MOST_HEADER_BYTES = 10_000
_DTYPE = re.compile(r"'descr': *'([<>|=]?(?:[iu][1248]|b1|f[248]|[SU][1-9][0-9]{0,3}))'")
_FORTRAN = re.compile(r"'fortran_order': *True")
_SHAPE = re.compile(r"'shape': *\(((?:[0-9]{1,15}, *)*(?:[0-9]{1,15})?)\)")


class Array(NamedTuple):
    """One array of the file.

    Attributes:
        name: its name, without `.npy`.
        entry: its file.
        dimensions: its shape.
        dtype: the type of its values; None if it is not read.
        header_bytes: the number of bytes before the values.
    """

    name: str
    entry: Entry
    dimensions: tuple[int, ...]
    dtype: np.dtype[Any] | None
    header_bytes: int

    @property
    def shape(self) -> ArrayShape | None:
        """Return the shape of its images; None if it has no images."""
        is_image = self.dtype == np.uint8 and len(self.dimensions) in {3, 4}
        return array_shape(self.dimensions[1:]) if is_image else None

    @property
    def kind(self) -> str:
        """Return the kind of its values, as in `numpy.dtype.kind`; empty if it is not read."""
        return "" if self.dtype is None else self.dtype.kind

    @property
    def is_column(self) -> bool:
        """Return whether it has one value per image."""
        is_flat = len(self.dimensions) == 1 or (
            len(self.dimensions) == 2 and self.dimensions[1] == 1
        )
        return is_flat and bool(self.kind)

    @property
    def is_label(self) -> bool:
        """Return whether each value can be a label."""
        return self.is_column and self.kind in {"i", "u", "U", "S"}

    @property
    def is_one_hot(self) -> bool:
        """Return whether each row can have a 1 for each class of an image."""
        return len(self.dimensions) == 2 and self.dimensions[1] > 1 and self.kind in set("iub")


def read_arrays(data: ContainerBytes) -> list[Array]:
    """Return the arrays of a file. Raises CorruptDataError if it is damaged."""
    entries = [it for it in list_zip(data) if it.key.endswith(b".npy") and it.member is not None]
    return [_read_header(data, entry) for entry in entries]


def _read_header(data: ContainerBytes, entry: Entry) -> Array:
    """Return the description of an array; NumPy's own reader evaluates it as Python."""
    head = next(_pieces(data, entry), b"")
    name = entry.key.removesuffix(b".npy").decode("utf-8", "replace")
    size_bytes = 2 if head[6:7] == b"\1" else 4
    start = 8 + size_bytes
    end = start + int.from_bytes(head[8:start], "little")
    text = head[start:end].decode("latin-1")
    is_header = head.startswith(_MAGIC) and start < end <= min(len(head), _MOST_HEADER_BYTES)
    shape = _SHAPE.search(text) if is_header else None
    if shape is None:
        raise damaged(data, f"the header of the array {escape_for_display(name)} is invalid")
    kind = _DTYPE.search(text)
    dimensions = tuple(int(size) for size in shape[1].split(",") if size.strip())
    if _FORTRAN.search(text) and len(dimensions) > 1:
        kind = None
    # Arrays of objects and of records, and those in the order of Fortran, are not read.
    return Array(name, entry, dimensions, kind and np.dtype(kind[1]), end)


def read_values(data: ContainerBytes, array: Array) -> NDArray[Any]:
    """Return the values of an array of numbers or texts, in its shape.

    Raises:
        CorruptDataError: the array is damaged, or has more than 64 MiB.
    """
    assert array.dtype is not None
    shown = f"the array {escape_for_display(array.name)}"
    if array.entry.size_bytes > MOST_VALUE_BYTES:
        raise damaged(data, f"{shown} has more than {MOST_VALUE_BYTES:,} bytes")
    content = b"".join(_pieces(data, array.entry))[array.header_bytes :]
    count = math.prod(array.dimensions)
    if len(content) < count * array.dtype.itemsize:
        raise damaged(data, f"{shown} is cut short")
    return np.frombuffer(content, array.dtype, count).reshape(array.dimensions)


def python_values(data: ContainerBytes, array: Array) -> list[Any]:
    """Return the values of a column, as values of Python. Raises as `read_values`."""
    values = read_values(data, array).reshape(-1)
    if values.dtype.kind == "U":
        codes = values.view(np.dtype(np.uint32).newbyteorder(values.dtype.byteorder))
        if codes.max(initial=0) > sys.maxunicode:  # NumPy does not check it
            shown = escape_for_display(array.name)
            raise damaged(data, f"the array {shown} has a text that is not Unicode")
    found: list[Any] = values.tolist()
    return found


def read_samples(data: ContainerBytes, array: Array, length: int) -> Iterator[bytes]:
    """Yield the samples of each image of an array."""
    pending = bytearray()
    to_skip = array.header_bytes
    left = array.dimensions[0]
    for piece in _pieces(data, array.entry):
        skipped = min(to_skip, len(piece))
        to_skip -= skipped
        pending += piece[skipped:]
        count = min(len(pending) // length, left)
        for number in range(count):
            yield bytes(pending[number * length : (number + 1) * length])
        del pending[: count * length]
        left -= count
    if left:
        raise damaged(data, f"the array {escape_for_display(array.name)} is cut short")


def _pieces(data: ContainerBytes, entry: Entry) -> Iterator[bytes]:
    """Yield the bytes of a file in the archive; those of labels and arrays are checked."""
    assert entry.member is not None
    try:
        yield from zip_pieces(data.read, entry.member, entry.size_bytes)
    except (UnreadableError, zlib.error) as error:
        raise damaged(
            data, f"the array {escape_for_display(entry.key.decode('utf-8', 'replace'))} is damaged"
        ) from error
