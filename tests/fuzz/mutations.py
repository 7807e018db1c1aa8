"""Mutations of files: flips, cuts, insertions, repeated and swapped blocks, numbers.

A mutation is a list of edits. The position of an edit is a fraction of the file's length, so one
edit applies to files of any length, and hypothesis can shrink it.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, get_args

from hypothesis import strategies as st

from records.format.tfrecord import HEADER_BYTES, masked_crc32c

EditKind = Literal["flip", "set", "cut", "remove", "insert", "repeat", "swap", "number"]

NUMBERS = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 1 << 30, (1 << 31) - 1, (1 << 32) - 1, 1 << 63)
"""Lengths and counts at which readers tend to fail."""

_WIDTHS = ("<Q", "<I", ">I", "<H", ">H")


class Edit(NamedTuple):
    """One change: its position and its length, both as fractions, and its value."""

    kind: EditKind
    at: float
    length: float
    value: int


def apply(data: bytes, edits: Sequence[Edit]) -> bytes:
    """Apply all edits to `data`, in order."""
    for edit in edits:
        start = int(edit.at * len(data))
        # Most damage is short: a square makes it so.
        end = min(len(data), start + 1 + int(edit.length**2 * (len(data) - start)))
        change = _CHANGES[edit.kind]
        data = data[:start] + change(data[start:end], data[end:], edit.value)
    return data


def _insert(block: bytes, tail: bytes, value: int) -> bytes:
    return random.Random(value).randbytes(len(block) % 64) + block + tail


def _swap(block: bytes, tail: bytes, _value: int) -> bytes:
    middle = len(tail) // 2
    return tail[:middle] + block + tail[middle:]


def _flip(block: bytes, tail: bytes, value: int) -> bytes:
    return bytes(byte ^ 1 << value % 8 for byte in block[:1]) + block[1:] + tail


def _write_number(block: bytes, tail: bytes, value: int) -> bytes:
    width = _WIDTHS[value % len(_WIDTHS)]
    limit = (1 << 8 * struct.calcsize(width)) - 1
    number = struct.pack(width, min(limit, NUMBERS[value // 8 % len(NUMBERS)]))
    return number + (block + tail)[len(number) :]


_CHANGES: dict[EditKind, Callable[[bytes, bytes, int], bytes]] = {
    "flip": _flip,
    "set": lambda block, tail, value: bytes([value % 256]) * len(block) + tail,
    "cut": lambda block, tail, value: b"",
    "remove": lambda block, tail, value: tail,
    "insert": _insert,
    "repeat": lambda block, tail, value: block * (2 + value % 3) + tail,
    "swap": _swap,
    "number": _write_number,
}
"""Kind of edit → function of a block, the bytes after it and the value."""


def reseal(data: bytes) -> bytes:
    """Recompute the checksums of all frames, so that readers accept the damage."""
    content = bytearray(data)
    at = 0
    while at + HEADER_BYTES <= len(content):
        content[at + 8 : at + 12] = struct.pack("<I", masked_crc32c(bytes(content[at : at + 8])))
        (length,) = struct.unpack_from("<Q", content, at)
        end = at + HEADER_BYTES + length
        if end + 4 > len(content):
            break
        payload = bytes(content[at + HEADER_BYTES : end])
        content[end : end + 4] = struct.pack("<I", masked_crc32c(payload))
        at = end + 4
    return bytes(content)


def random_edits(chance: random.Random, *, most: int = 4) -> list[Edit]:
    """Return random edits, for callers that do not use hypothesis."""
    return [
        Edit(
            chance.choice(get_args(EditKind)),
            chance.random(),
            chance.random(),
            chance.randrange(1 << 16),
        )
        for _ in range(chance.randint(1, most))
    ]


edits = st.lists(
    st.builds(
        Edit,
        kind=st.sampled_from(get_args(EditKind)),
        at=st.floats(0, 1, exclude_max=True),
        length=st.floats(0, 1),
        value=st.integers(0, (1 << 16) - 1),
    ),
    min_size=1,
    max_size=4,
)
