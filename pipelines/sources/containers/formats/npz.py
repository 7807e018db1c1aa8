"""Images in the arrays of NumPy's .npz files; objects are never unpickled."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from pipelines.sources.containers.byte_window import ContainerBytes, damaged
from pipelines.sources.containers.entry import Entry, split_in_name
from pipelines.sources.containers.formats.arrays import (
    Samples,
    array_shape,
    sample_entry,
    size_of,
)
from pipelines.sources.containers.formats.zip import list_zip
from pipelines.sources.containers.member import ArrayShape
from pipelines.sources.containers.read import zip_pieces
from pipelines.sources.reader import UnreadableError
from records.errors import UsageError
from records.text.escaping import escape_for_display

_MAGIC = b"\x93NUMPY"
_MOST_HEADER_BYTES = 10_000
_MOST_LABEL_BYTES = 64 << 20
_DTYPE = re.compile(r"'descr': *'([<>|=]?(?:[iu][1248]|b1|f[248]|[SU][1-9][0-9]{0,3}))'")
_FORTRAN = re.compile(r"'fortran_order': *True")
_SHAPE = re.compile(r"'shape': *\(((?:[0-9]{1,15}, *)*(?:[0-9]{1,15})?)\)")


class _Array(NamedTuple):
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
    def is_label(self) -> bool:
        """Return whether each value can be a label."""
        is_column = len(self.dimensions) == 1 or self.dimensions[1:] == (1,)
        kind = "" if self.dtype is None else self.dtype.kind
        return bool(self.dimensions) and is_column and kind in {"i", "u", "U", "S"}


def list_npz(data: ContainerBytes) -> Iterator[Entry]:
    """Yield the images of the arrays of a file; offsets are those in `unpack_npz`.

    Images are an array of bytes with the shape (N, height, width) or (N, height, width, 1 or 3).
    Their labels are the only array of N numbers or texts or, if there are several, the one whose
    name has the same split.

    Raises:
        CorruptDataError: the file is damaged.
        UsageError: no array, or an array of another type, has images; or labels are ambiguous.
    """
    arrays = _read_arrays(data)
    images = _images_of(arrays, data)
    offset = 0
    stem = data.container.key.rpartition(b"/")[2].rpartition(b".")[0]
    for array in images:
        shape = array.shape
        assert shape is not None
        labels = _labels_of(array, arrays, data)
        folder = stem + b"/" + array.name.encode() if len(images) > 1 else stem
        samples = Samples(offset, shape, labels, folder)
        split = split_in_name(array.name.encode())
        for number, content in enumerate(_samples(data, array, size_of(shape))):
            yield sample_entry(data, samples, number, content)._replace(split=split)
        offset += array.dimensions[0] * size_of(shape)


def unpack_npz(data: ContainerBytes) -> Iterator[bytes]:
    """Yield the samples of all images of a file. Raises as `list_npz`."""
    for array in _images_of(_read_arrays(data), data):
        assert array.shape is not None
        yield from _samples(data, array, size_of(array.shape))


def _images_of(arrays: Sequence[_Array], data: ContainerBytes) -> list[_Array]:
    images = [array for array in arrays if array.shape is not None]
    if not images:
        shown = ", ".join(f"{it.name} {it.dtype or 'objects'} {it.dimensions}" for it in arrays[:5])
        raise UsageError(
            "no array of the file has images",
            path=data.shown,
            expected="an array of uint8 with the shape (N, height, width) or "
            "(N, height, width, 1 or 3)",
            got=escape_for_display(shown) or "no array",
        )
    return images


def _labels_of(images: _Array, arrays: Sequence[_Array], data: ContainerBytes) -> list[str] | None:
    count = images.dimensions[0]
    found = [it for it in arrays if it.is_label and it.dimensions[0] == count]
    if len(found) > 1:
        split = split_in_name(images.name.encode())
        found = [it for it in found if split_in_name(it.name.encode()) == split]
    if data.wanted.label is not None:
        found = [it for it in found if it.name == data.wanted.label] or found
    if len(found) > 1:
        raise UsageError(
            f"several arrays can be the labels of {escape_for_display(images.name)}",
            path=data.shown,
            got=", ".join(escape_for_display(it.name) for it in found[:5]),
            hint=f"pass --label-column {escape_for_display(found[0].name)}",
        )
    return _read_labels(found[0], data) if found else None


def _read_labels(array: _Array, data: ContainerBytes) -> list[str]:
    assert array.dtype is not None
    if array.entry.size_bytes > _MOST_LABEL_BYTES:
        raise damaged(data, f"the labels have more than {_MOST_LABEL_BYTES:,} bytes")
    content = b"".join(_pieces(data, array.entry))[array.header_bytes :]
    count = array.dimensions[0]
    if len(content) < count * array.dtype.itemsize:
        raise damaged(data, "the labels are cut short")
    values = np.frombuffer(content, array.dtype, count)
    if array.dtype.kind == "S":
        return [value.decode("utf-8", "replace").strip() for value in values.tolist()]
    texts = [str(value).strip() for value in values.tolist()]
    width = max(map(len, texts), default=0) if array.dtype.kind in "iu" else 0
    return [text.zfill(width) for text in texts]


def _read_arrays(data: ContainerBytes) -> list[_Array]:
    entries = [it for it in list_zip(data) if it.key.endswith(b".npy") and it.member is not None]
    return [_read_header(data, entry) for entry in entries]


def _read_header(data: ContainerBytes, entry: Entry) -> _Array:
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
    return _Array(name, entry, dimensions, kind and np.dtype(kind[1]), end)


def _samples(data: ContainerBytes, array: _Array, length: int) -> Iterator[bytes]:
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
