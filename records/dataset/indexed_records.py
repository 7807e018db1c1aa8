"""What the index tells of each record of a shard: all but its image, and where that lies.

A record is its row of the index around an image, so a single one can be read as it is returned: a
parser of protobuf would copy the image twice, and look up seven other features. The place follows
from the sizes of what `encode_example` writes before it.
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

    _Numbers = NDArray[Any]

_NUMBERS = ("label", "width", "height", "channels", "offset", "length", "stored_bytes")
# Numbers from here on take a byte more, as protobuf writes them.
_LONGER = np.array([1 << 7, 1 << 14, 1 << 21, 1 << 28], np.int64)


def _key_of_entry(name: str) -> bytes:
    return bytes((0x0A, len(name))) + name.encode()


_IMAGE, _NEXT = map(_key_of_entry, (schema.ENCODED, schema.FILENAME))


class IndexedRecord(NamedTuple):
    """A record but for its image, as `Record` has it, and its frame.

    `offset` is the frame's, and `sizes_bytes` of what is before the image in it, of the image, and
    of what is after it. Before it are the `first` features, at `features_offset`, and its name.
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
    first: bytes
    features_offset: int
    name_offset: int

    def matches_frame(self, before: bytes, after: bytes) -> bool:
        """Whether a record is of this label, and the image what is between these parts of it."""
        next_at = 2 if after[1] < 0x80 else 3  # after a tag and the size of the entry
        return (
            before.startswith(self.first, self.features_offset)
            and before.startswith(_IMAGE, self.name_offset)
            and after.startswith(_NEXT, next_at)
        )

    def with_image(self, image: bytes) -> Record:
        """The record."""
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
    """Of each record of a shard, by its number.

    Args:
        table: of the shard's index.
        labels: the label map.
    """

    def __init__(self, table: pa.Table, labels: LabelMap) -> None:
        numbers = {name: table[name].to_numpy() for name in _NUMBERS}
        formats = table["format"].combine_chunks()
        self._labels, self._formats = labels, formats.dictionary.to_pylist()
        self._keys = table["key"].combine_chunks()
        # Memoryviews give Python's integers, in a fifth of the time that arrays take.
        self._label, self._width, self._height, self._channels = (
            numbers[name].data for name in ("label", "width", "height", "channels")
        )
        self._offset, self._length, self._stored_bytes = (
            numbers[name].data for name in ("offset", "length", "stored_bytes")
        )
        self._format_numbers = formats.indices.to_numpy().data
        places = _find(numbers, labels)
        self._features_offset, self._name_offset, self._image_offset = (
            place.astype(np.int32).data for place in places
        )

    def __getitem__(self, record: int) -> IndexedRecord | None:
        """None where the row of the index is not that of a record."""
        label, image_bytes = self._label[record], self._stored_bytes[record]
        image_offset = self._image_offset[record]
        after_bytes = self._length[record] - image_offset - image_bytes
        if not 0 <= label < len(self._labels) or image_bytes < 0 or after_bytes <= FOOTER_BYTES:
            return None
        text, channels = self._labels[label], self._channels[record]
        return IndexedRecord(
            label,
            text,
            self._keys[record].as_py(),
            self._formats[self._format_numbers[record]],
            self._width[record],
            self._height[record],
            channels,
            self._offset[record],
            (image_offset, image_bytes, after_bytes),
            _first_features(label, text, channels),
            self._features_offset[record],
            self._name_offset[record],
        )


def _find(numbers: dict[str, _Numbers], labels: LabelMap) -> tuple[_Numbers, _Numbers, _Numbers]:
    """Where in each frame its features begin, where the image's name is and the image, in bytes."""
    # From the inside: BytesList, Feature, an entry of the map; each has a tag, a size, its content.
    image_bytes = numbers["stored_bytes"]
    value_bytes = _field_size(image_bytes)
    feature_bytes = _field_size(value_bytes)
    entry_bytes = len(_IMAGE) + _field_size(feature_bytes)
    # The size of all features is their Example's without a tag and that size.
    example_bytes = numbers["length"] - HEADER_BYTES - FOOTER_BYTES
    features_offset = (
        HEADER_BYTES + 2 + np.searchsorted(_LONGER + np.arange(2, 6), example_bytes, "right")
    )
    first_bytes = _leading_size(numbers["label"], numbers["channels"], labels)
    name_offset = features_offset + first_bytes + _field_size(entry_bytes) - entry_bytes
    image_offset = name_offset + entry_bytes - image_bytes
    return features_offset, name_offset, image_offset


def _field_size(content_bytes: _Numbers) -> _Numbers:
    """The size of a field with such a content: a tag, the content's size, and the content."""
    more_bytes: _Numbers = np.searchsorted(_LONGER, content_bytes, side="right")
    return content_bytes + 2 + more_bytes


def _leading_size(label: _Numbers, channels: _Numbers, labels: LabelMap) -> _Numbers:
    kinds, places = np.unique(np.stack([label, channels]), axis=1, return_inverse=True)
    sizes = [
        len(_first_features(number, labels[number] if 0 <= number < len(labels) else "", depth))
        for number, depth in kinds.T.tolist()
    ]
    return np.array(sizes, np.int64)[places.reshape(-1)]


@lru_cache(maxsize=1 << 16)
def _first_features(label: int, text: str, channels: int) -> bytes:
    """The features whose names sort before the image's: the same for many records."""
    features = {schema.CHANNELS: [channels], schema.LABEL: [label]}
    return encode_features({**features, schema.TEXT: [text.encode()]})
