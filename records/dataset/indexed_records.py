"""Records with fields from the index and the image from the shard.

`Split.__getitem__` serves random access, the hot path of a PyTorch `DataLoader`. Parsing the
Example would copy the image twice and look up seven more features, all of which are also in the
index. The image is therefore cut out of the frame at the offset in the index, and all other fields
come from the index row.

Every read is verified: the CRC of the frame covers all bytes, and the bytes around the image are
compared with the index row. If anything differs, the caller decodes the whole Example instead. A
wrong index row therefore costs time, and never results in a wrong record.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

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
    from records.format.shard import ShardReader

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
        self._class_names = dict(enumerate(labels))
        self._formats = formats.dictionary.to_pylist()
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

    def read(self, record: int, shard: ShardReader) -> Record | None:
        """Read the record with this number.

        Returns:
            The record; None if the index row has impossible values, or differs from the frame.

        Raises:
            CorruptDataError, FileNotFoundError: as `ShardReader.read_in_parts`.
        """
        offset, image_bytes = self._offset[record], self._stored_bytes[record]
        before_bytes = self._image_offset[record] - offset
        after_bytes = self._length[record] - before_bytes - image_bytes
        if before_bytes <= HEADER_BYTES or image_bytes < 0 or after_bytes <= FOOTER_BYTES:
            return None
        own = self._label_lists
        labels = (self._label[record],) if own is None else tuple(own[record].as_py())
        try:
            class_names = tuple([self._class_names[label] for label in labels])
        except KeyError:
            return None
        channels = self._channels[record]
        expected = encode_before_image(channels, labels, class_names, image_bytes)
        values: Mapping[str, Value] = {}
        if self._values is not None:
            values = self._values[record].as_py()
            expected = encode_columns(self._columns, list(values.values())) + expected
        sizes_bytes = before_bytes, image_bytes, after_bytes
        before, image, after = shard.read_in_parts(offset, sizes_bytes, record=record)
        next_name_at = 2 if after[1] < 0x80 else 3  # a tag and the size of the map entry
        if not (before.endswith(expected) and after.startswith(_NEXT_FEATURE, next_name_at)):
            return None
        return Record(
            image,
            labels,
            class_names,
            self._keys[record].as_py(),
            self._formats[self._format_numbers[record]],
            self._width[record],
            self._height[record],
            channels,
            values,
        )
