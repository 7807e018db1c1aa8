"""Records with fields from the index and the image from the shard.

`Split.__getitem__` serves random access, the hot path of a PyTorch `DataLoader`. Parsing the
Example would copy the image twice and look up seven more features, all of which are also in the
index. The image is therefore cut out of the frame at the offset in the index, and all other fields
come from the index row.

Every read is verified: the CRC of the frame covers all bytes, and `matches_frame` compares the
bytes around the image with the index row. If anything differs, the caller decodes the whole Example
instead. A wrong index row therefore costs time, and never results in a wrong record.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from records.dataset.record import Record
from records.format import schema
from records.format.columns import encode_columns
from records.format.tfrecord import FOOTER_BYTES, HEADER_BYTES
from records.images.features import encode_before_image

if TYPE_CHECKING:
    from collections.abc import Mapping

    from records.format.columns import Value
    from records.format.index import Index
    from records.format.label_map import LabelMap

_INTEGER_COLUMNS = (
    "label",
    "width",
    "height",
    "channels",
    "offset",
    "length",
    "image_offset",
    "stored_bytes",
)

# The feature after the image: tag, size and name of the map key.
_NEXT_FEATURE = bytes((0x0A, len(schema.FILENAME))) + schema.FILENAME.encode()


class IndexedRecord(NamedTuple):
    """All fields of a `Record` except the image, and the position of the image in its frame.

    Attributes:
        offset: the offset of the frame in the shard, in bytes.
        sizes_bytes: the sizes of the three parts of the frame: the bytes before the image, the
            image, and the bytes after the image.
        encoded_columns: the features of the columns.
    """

    labels: tuple[int, ...]
    class_names: tuple[str, ...]
    key: str
    format: str
    width: int
    height: int
    channels: int
    offset: int
    sizes_bytes: tuple[int, int, int]
    columns: Mapping[str, Value]
    encoded_columns: bytes

    def matches_frame(self, before: bytes, after: bytes) -> bool:
        """Return whether a frame has the features and the image position of this record.

        Args:
            before: the part of the frame before the image.
            after: the part of the frame after the image.
        """
        next_name_at = 2 if after[1] < 0x80 else 3  # a tag and the size of the map entry
        expected = self.encoded_columns + encode_before_image(
            self.channels, self.labels, self.class_names, self.sizes_bytes[1]
        )
        return before.endswith(expected) and after.startswith(_NEXT_FEATURE, next_name_at)

    def with_image(self, image: bytes) -> Record:
        """Return the complete record."""
        return Record(
            image,
            self.labels,
            self.class_names,
            self.key,
            self.format,
            self.width,
            self.height,
            self.channels,
            self.columns,
        )


class IndexedRecords:
    """The indexed records of a shard, by number.

    Args:
        index: the index of the shard.
        labels: the label map.
    """

    def __init__(self, index: Index, labels: LabelMap) -> None:
        table = index.table
        columns = {name: table[name].to_numpy() for name in _INTEGER_COLUMNS}
        formats = table["format"].combine_chunks()
        self._labels, self._formats = labels, formats.dictionary.to_pylist()
        self._keys = table["key"].combine_chunks()
        self._label_lists = table["labels"].combine_chunks() if index.is_multi_label else None
        self._columns = index.columns
        self._values = table["columns"].combine_chunks() if index.columns else None
        # A memoryview returns Python integers five times as fast as an array.
        self._label, self._width, self._height, self._channels = (
            columns[name].data for name in ("label", "width", "height", "channels")
        )
        self._offset, self._length, self._image_offset, self._stored_bytes = (
            columns[name].data for name in ("offset", "length", "image_offset", "stored_bytes")
        )
        self._format_numbers = formats.indices.to_numpy().data

    def __getitem__(self, record: int) -> IndexedRecord | None:
        """Return the record with this number; None if its index row has impossible values."""
        image_bytes = self._stored_bytes[record]
        before_bytes = self._image_offset[record] - self._offset[record]
        after_bytes = self._length[record] - before_bytes - image_bytes
        is_possible = (
            before_bytes > HEADER_BYTES and image_bytes >= 0 and after_bytes > FOOTER_BYTES
        )
        own = self._label_lists
        labels = (self._label[record],) if own is None else tuple(own[record].as_py())
        if not is_possible or any(not 0 <= label < len(self._labels) for label in labels):
            return None
        values: Mapping[str, Value] = {}
        encoded = b""
        if self._values is not None:
            values = self._values[record].as_py()
            encoded = encode_columns(self._columns, list(values.values()))
        return IndexedRecord(
            labels,
            tuple(self._labels[label] for label in labels),
            self._keys[record].as_py(),
            self._formats[self._format_numbers[record]],
            self._width[record],
            self._height[record],
            self._channels[record],
            self._offset[record],
            (before_bytes, image_bytes, after_bytes),
            values,
            encoded,
        )
