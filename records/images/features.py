"""The Example of a stored image.

An Example is written for every image, and protobuf takes longer to make one than to check a small
image. Only two features differ between most images of a class: the image and the key. They are
serialized here, between the other features, which are serialized once for all equal values.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from records.format import schema
from records.format.example import encode_features
from records.images.normalize import NormalizedImage


class EncodedExample(NamedTuple):
    """A serialized Example, and the offset of the encoded image in it, in bytes."""

    payload: bytes
    image_offset: int


def encode_image_example(
    image: NormalizedImage,
    *,
    key: bytes,
    labels: tuple[int, ...],
    class_names: tuple[str, ...],
    columns: bytes = b"",
) -> EncodedExample:
    """Return the serialized Example of an image, equal to that of `encode_example`.

    Args:
        image: the image.
        key: the key of the image.
        labels: the labels, from 0.
        class_names: the name of the class of each label.
        columns: the features of the columns, as `encode_columns` returns them.
    """
    # In the order of the names, as `encode_example` writes them.
    before = columns + encode_before_image(image.channels, labels, class_names, len(image.encoded))
    features = (
        before,
        image.encoded,
        _bytes_head(_KEY, len(key)),
        key,
        _encode_trailing(image.format, image.height, image.width),
    )
    size = _varint(sum(map(len, features)))
    payload = b"".join((b"\x0a", size, *features))
    return EncodedExample(payload, 1 + len(size) + len(before))


def encode_before_image(
    channels: int, labels: tuple[int, ...], class_names: tuple[str, ...], image_bytes: int
) -> bytes:
    """Return the features of an Example before the bytes of its image.

    Args:
        channels: the number of channels.
        labels: the labels, from 0.
        class_names: the name of the class of each label.
        image_bytes: the size of the encoded image.
    """
    # Sets of labels rarely repeat, and can be large: only single labels are cached.
    encode = _encode_leading if len(labels) == 1 else _encode_leading.__wrapped__
    return encode(channels, labels, class_names) + _bytes_head(_IMAGE, image_bytes)


def is_example_of(
    payload: bytes,
    *,
    image_offset: int,
    image_bytes: int,
    channels: int,
    labels: tuple[int, ...],
    class_names: tuple[str, ...],
    key: bytes,
    columns: bytes = b"",
) -> bool:
    """Return whether an Example of `encode_image_example` has these features around its image.

    Args:
        payload: the serialized Example.
        image_offset: the offset of the encoded image in it, in bytes.
        image_bytes: the size of the encoded image.
        channels: the number of channels.
        labels: the labels, from 0.
        class_names: the name of the class of each label.
        key: the key of the image.
        columns: the features of the columns, as `encode_columns` returns them.
    """
    before = columns + encode_before_image(channels, labels, class_names, image_bytes)
    after = _bytes_head(_KEY, len(key)) + key
    return payload[: max(image_offset, 0)].endswith(before) and payload.startswith(
        after, image_offset + image_bytes
    )


@lru_cache(maxsize=1 << 12)
def _encode_leading(channels: int, labels: tuple[int, ...], class_names: tuple[str, ...]) -> bytes:
    return encode_features(
        {
            schema.CHANNELS: [channels],
            schema.LABEL: labels,
            schema.TEXT: [name.encode() for name in class_names],
        }
    )


@lru_cache(maxsize=1 << 12)
def _encode_trailing(format_name: str, height: int, width: int) -> bytes:
    return encode_features(
        {
            schema.FORMAT: [format_name.encode()],
            schema.HEIGHT: [height],
            schema.WIDTH: [width],
        }
    )


def _map_key(name: str) -> bytes:
    return bytes((0x0A, len(name))) + name.encode()


_IMAGE, _KEY = map(_map_key, (schema.ENCODED, schema.FILENAME))


@lru_cache(maxsize=1 << 12)
def _bytes_head(map_key: bytes, size_bytes: int) -> bytes:
    """Return the bytes of a feature before its value, a byte string of this size.

    From inside to outside: BytesList, Feature, map entry; each is a tag, a size and content.
    """
    head = b"\x0a" + _varint(size_bytes)
    head = b"\x0a" + _varint(len(head) + size_bytes) + head
    head = map_key + b"\x12" + _varint(len(head) + size_bytes) + head
    return b"\x0a" + _varint(len(head) + size_bytes) + head


@lru_cache(maxsize=1 << 12)
def _varint(number: int) -> bytes:
    """Return a number as protobuf writes it: seven bits per byte, the lowest first."""
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
