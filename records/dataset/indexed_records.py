"""Records with fields from the index and the image from the shard.

This module computes offsets inside serialized protobuf messages, for speed. `Split.__getitem__`
serves random access, the hot path of a PyTorch `DataLoader`. Parsing the Example would copy the
image twice and look up seven more features, all of which are also in the index. The image is
therefore cut out of the frame, and all other fields come from the index row.

The offset of the image is not stored. It follows from the sizes of the fields before the image.
`encode_example` writes the features in the order of their names: channels, label and class name
come before the image (`image/encoded`), the key and the other features after it. This arithmetic is
valid only for records that `encode_example` wrote, so every read is verified: `matches_frame`
compares the bytes around the image, and the CRC of the frame covers all bytes. If anything differs,
the caller decodes the whole Example instead. A wrong index row therefore costs time, and never
results in a wrong record.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from records.dataset.record import Record
from records.format import schema
from records.format.example import encode_features
from records.format.tfrecord import FOOTER_BYTES, HEADER_BYTES

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from records.format.label_map import LabelMap

    _Integers = NDArray[Any]

_INTEGER_COLUMNS = ("label", "width", "height", "channels", "offset", "length", "stored_bytes")
# At each of these values, the size of a protobuf varint grows by one byte.
_VARINT_STEPS = np.array([1 << 7, 1 << 14, 1 << 21, 1 << 28], np.int64)


def _map_key(name: str) -> bytes:
    """Return the key of a map entry as protobuf writes it: tag, size, name."""
    return bytes((0x0A, len(name))) + name.encode()


_IMAGE_KEY, _KEY_AFTER_IMAGE = map(_map_key, (schema.ENCODED, schema.FILENAME))


class IndexedRecord(NamedTuple):
    """All fields of a `Record` except the image, and the position of the image in its frame.

    Attributes:
        offset: the offset of the frame in the shard, in bytes.
        sizes_bytes: the sizes of the three parts of the frame: the bytes before the image, the
            image, and the bytes after the image.
        leading_features: the serialized features before the image.
        features_offset: the offset of `leading_features` in the frame, in bytes.
        name_offset: the offset of the feature name `image/encoded` in the frame, in bytes.
    """

    label: int
    class_name: str
    key: str
    format: str
    width: int
    height: int
    channels: int
    offset: int
    sizes_bytes: tuple[int, int, int]
    leading_features: bytes
    features_offset: int
    name_offset: int

    def matches_frame(self, before: bytes, after: bytes) -> bool:
        """Return whether a frame has the leading features and the image position of this record.

        Args:
            before: the part of the frame before the image.
            after: the part of the frame after the image.
        """
        next_key_offset = 2 if after[1] < 0x80 else 3  # a tag and the size of the map entry
        return (
            before.startswith(self.leading_features, self.features_offset)
            and before.startswith(_IMAGE_KEY, self.name_offset)
            and after.startswith(_KEY_AFTER_IMAGE, next_key_offset)
        )

    def with_image(self, image: bytes) -> Record:
        """Return the complete record."""
        return Record(
            image,
            self.label,
            self.class_name,
            self.key,
            self.format,
            self.width,
            self.height,
            self.channels,
        )


class IndexedRecords:
    """The indexed records of a shard, by number.

    Args:
        table: the rows of the index of the shard.
        labels: the label map.
    """

    def __init__(self, table: pa.Table, labels: LabelMap) -> None:
        columns = {name: table[name].to_numpy() for name in _INTEGER_COLUMNS}
        formats = table["format"].combine_chunks()
        self._labels, self._formats = labels, formats.dictionary.to_pylist()
        self._keys = table["key"].combine_chunks()
        # A memoryview returns Python integers five times as fast as an array.
        self._label, self._width, self._height, self._channels = (
            columns[name].data for name in ("label", "width", "height", "channels")
        )
        self._offset, self._length, self._stored_bytes = (
            columns[name].data for name in ("offset", "length", "stored_bytes")
        )
        self._format_numbers = formats.indices.to_numpy().data
        self._features_offset, self._name_offset, self._image_offset = (
            offsets.astype(np.int32).data for offsets in _compute_offsets(columns, labels)
        )

    def __getitem__(self, record: int) -> IndexedRecord | None:
        """Return the record with this number; None if its index row has impossible values."""
        label, image_bytes = self._label[record], self._stored_bytes[record]
        image_offset = self._image_offset[record]
        after_bytes = self._length[record] - image_offset - image_bytes
        if not 0 <= label < len(self._labels) or image_bytes < 0 or after_bytes <= FOOTER_BYTES:
            return None
        class_name, channels = self._labels[label], self._channels[record]
        return IndexedRecord(
            label,
            class_name,
            self._keys[record].as_py(),
            self._formats[self._format_numbers[record]],
            self._width[record],
            self._height[record],
            channels,
            self._offset[record],
            (image_offset, image_bytes, after_bytes),
            _leading_features(label, class_name, channels),
            self._features_offset[record],
            self._name_offset[record],
        )


def _compute_offsets(
    columns: dict[str, _Integers], labels: LabelMap
) -> tuple[_Integers, _Integers, _Integers]:
    """Compute three offsets in each frame: of the features, the image name and the image."""
    # From inside to outside: BytesList, Feature, map entry; each is a tag, a size and content.
    image_bytes = columns["stored_bytes"]
    value_bytes = _field_size(image_bytes)
    feature_bytes = _field_size(value_bytes)
    entry_bytes = len(_IMAGE_KEY) + _field_size(feature_bytes)
    # The size of the features is the size of the Example minus its tag and size field.
    example_bytes = columns["length"] - HEADER_BYTES - FOOTER_BYTES
    size_steps = _VARINT_STEPS + np.arange(2, 6)
    features_offset = HEADER_BYTES + 2 + np.searchsorted(size_steps, example_bytes, "right")
    leading_bytes = _leading_size(columns["label"], columns["channels"], labels)
    name_offset = features_offset + leading_bytes + _field_size(entry_bytes) - entry_bytes
    image_offset = name_offset + entry_bytes - image_bytes
    return features_offset, name_offset, image_offset


def _field_size(content_bytes: _Integers) -> _Integers:
    """Return the size of a field with this content: a tag, a size and the content."""
    more_bytes: _Integers = np.searchsorted(_VARINT_STEPS, content_bytes, side="right")
    return content_bytes + 2 + more_bytes


def _leading_size(label: _Integers, channels: _Integers, labels: LabelMap) -> _Integers:
    """Return the size of the features before each image, computed once per label and channels."""
    pairs, pair_of = np.unique(np.stack([label, channels]), axis=1, return_inverse=True)
    sizes = [
        len(_leading_features(number, labels[number] if 0 <= number < len(labels) else "", depth))
        for number, depth in pairs.T.tolist()
    ]
    return np.array(sizes, np.int64)[pair_of.reshape(-1)]


@lru_cache(maxsize=1 << 16)
def _leading_features(label: int, class_name: str, channels: int) -> bytes:
    """Serialize the features with names that sort before `image/encoded`."""
    features = {schema.CHANNELS: [channels], schema.LABEL: [label]}
    return encode_features({**features, schema.TEXT: [class_name.encode()]})
