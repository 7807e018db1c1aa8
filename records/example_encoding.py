"""Python to tf.train.Example: the same bytes for the same features, whatever writes them.

    example   0a n  entry …              features, in the order of their names' bytes
    entry     0a n  0a n name  12 n feature
    feature   kind n  list               0a bytes, 12 floats, 1a integers
    list      0a n value …               bytes: each value by itself
              0a n values                floats, little-endian; integers, as varints

`n` is the length of what follows, a varint. Protobuf takes a third of all the time a photo has: it
copies an image again each time its buffer has become too small. And where one name begins another,
its implementations sort them differently. A test holds these bytes against TensorFlow's.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import TypeGuard, TypeVar

from records.example import FeatureValue

_T = TypeVar("_T")

_FIRST, _SECOND = b"\x0a", b"\x12"
_BYTES_LIST, _FLOAT_LIST, _INT64_LIST = b"\x0a", b"\x12", b"\x1a"
_LOW_BITS, _MORE = 0x7F, 0x80
_INT64_MIN, _INT64_MAX = -(1 << 63), (1 << 63) - 1
_UINT64 = (1 << 64) - 1
_ONE_BYTE = [bytes([value]) for value in range(_MORE)]


def encode_example(features: Mapping[str, FeatureValue]) -> bytes:
    """The serialized Example of `features`: the same bytes for the same features, in any order.

    Raises:
        TypeError: a value is not a sequence of bytes, ints or floats, or mixes them.
        ValueError: an int has more than 64 bits.
    """
    if not features:
        return b""
    parts = [b""]  # the first is the head, once the length of the rest is known
    for name, values in sorted((name.encode(), values) for name, values in features.items()):
        parts += _encode_entry(name, values)
    parts[0] = _FIRST + _varint(sum(map(len, parts)))
    return b"".join(parts)


def _encode_entry(name: bytes, values: FeatureValue) -> list[bytes]:
    """A feature under its name, in parts, for images are not to be copied more than once."""
    key = _FIRST + _varint(len(name)) + name
    kind, content = _encode_list(values)
    size = sum(map(len, content))
    head = kind + _varint(size)
    head = key + _SECOND + _varint(len(head) + size) + head
    return [_FIRST + _varint(len(head) + size) + head, *content]


def _encode_list(values: FeatureValue) -> tuple[bytes, list[bytes]]:
    if _are(values, bytes):
        return _BYTES_LIST, [part for value in values for part in _with_length(value)]
    if _are(values, int):
        return _INT64_LIST, _with_length(b"".join(map(_encode_int, values)))
    if _are(values, float):
        return _FLOAT_LIST, _with_length(struct.pack(f"<{len(values)}f", *values))
    raise TypeError(f"neither bytes nor ints nor floats: {values!r}")


def _are(values: Sequence[object], kind: type[_T]) -> TypeGuard[Sequence[_T]]:
    return all(isinstance(value, kind) for value in values)


def _with_length(content: bytes) -> list[bytes]:
    return [_FIRST + _varint(len(content)), content]


def _encode_int(value: int) -> bytes:
    if not _INT64_MIN <= value <= _INT64_MAX:
        raise ValueError(f"more than 64 bits: {value}")
    return _varint(value & _UINT64)


def _varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first; the highest bit of each says that more follow."""
    if value < _MORE:
        return _ONE_BYTE[value]
    encoded = bytearray()
    while value >= _MORE:
        encoded.append(value & _LOW_BITS | _MORE)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
