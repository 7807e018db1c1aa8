"""Mutations of image files; those of JPEG and PNG keep lengths and checksums valid.

A JPEG or PNG is cut into its segments or chunks. These are removed, repeated, moved, renamed, split
and changed, and then joined again. Damage at random bytes would rarely reach the code after the
checks of lengths and checksums. Files of other formats, which are always encoded again, are damaged
at random places.
"""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace

from tests.fuzz.mutations import apply, random_edits

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_NAMES = (
    b"IHDR PLTE IDAT IEND tRNS gAMA cHRM sRGB iCCP sBIT bKGD hIST pHYs sPLT tIME tEXt zTXt iTXt"
    b" eXIf oFFs pCAL sCAL sTER cICP mDCV cLLI acTL fcTL fdAT vpAg orNT iDOT"
).split()
_MARKERS = (*range(0xC0, 0xFF), 0x01, 0x02, 0x3F)
_FACTORS = (0x11, 0x21, 0x12, 0x22, 0x41, 0x14, 0x42, 0x24, 0x44, 0x31, 0x13, 0x32, 0x23, 0x33)


@dataclass(frozen=True)
class Part:
    """A PNG chunk, or a JPEG segment with the bytes up to the next marker.

    Attributes:
        name: the type of the chunk, or the marker as one byte.
        payload: the content, without length and checksum.
        tail: the entropy-coded bytes after a scan header, or bytes that belong to no segment.
        lie: a number that is added to the length in the file.
        wrong_checksum: whether the checksum of a chunk is wrong.
    """

    name: bytes
    payload: bytes = b""
    tail: bytes = b""
    lie: int = 0
    wrong_checksum: bool = False


def mutate_image(data: bytes, chance: random.Random, *, most: int = 3) -> bytes:
    """Return a mutation of a valid image file."""
    is_png = data.startswith(PNG_SIGNATURE)
    if not is_png and not data.startswith(b"\xff\xd8"):
        return apply(data, random_edits(chance, most=most))
    parts = split_png(data) if is_png else split_jpeg(data)
    changes = _PNG_CHANGES if is_png else _JPEG_CHANGES
    for _ in range(chance.randint(1, most)):
        chance.choice(changes)(parts, chance)
    changed = join_png(parts) if is_png else join_jpeg(parts)
    if chance.random() < 0.05:
        changed = changed[: chance.randrange(len(changed) + 1)]
    if chance.random() < 0.05:
        changed += chance.randbytes(chance.randrange(20))
    return changed


def split_png(data: bytes) -> list[Part]:
    """Return the chunks of a valid PNG."""
    parts, at = [], len(PNG_SIGNATURE)
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        parts.append(Part(data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    return parts


def join_png(parts: list[Part]) -> bytes:
    """Return the file of these chunks."""
    content = bytearray(PNG_SIGNATURE)
    for part in parts:
        checksum = zlib.crc32(part.name + part.payload) ^ part.wrong_checksum
        content += struct.pack(">I", max(0, len(part.payload) + part.lie))
        content += part.name + part.payload + struct.pack(">I", checksum) + part.tail
    return bytes(content)


def split_jpeg(data: bytes) -> list[Part]:
    """Return the segments of a valid JPEG, without the markers of its begin and end."""
    parts, at = [], 2
    while data[at + 1] != 0xD9:
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4])
        tail_end = end
        while not (data[tail_end] == 0xFF and not _is_data(data[tail_end + 1])):
            tail_end += 1
        parts.append(Part(data[at + 1 : at + 2], data[at + 4 : end], data[end:tail_end]))
        at = tail_end
    return parts


def _is_data(byte: int) -> bool:
    return byte == 0 or 0xD0 <= byte <= 0xD7


def join_jpeg(parts: list[Part]) -> bytes:
    """Return the file of these segments."""
    content = bytearray(b"\xff\xd8")
    for part in parts:
        length = (len(part.payload) + 2 + part.lie) & 0xFFFF
        content += b"\xff" + part.name + struct.pack(">H", length) + part.payload + part.tail
    return bytes(content + b"\xff\xd9")


_Change = Callable[[list[Part], random.Random], None]


def _pick(parts: list[Part], chance: random.Random, *names: bytes) -> int | None:
    """Return the number of a random part, of one of these names if there are any."""
    found = [at for at, part in enumerate(parts) if not names or part.name in names]
    return chance.choice(found) if found else None


def _changing(change: Callable[[Part, random.Random], Part], *names: bytes) -> _Change:
    def apply(parts: list[Part], chance: random.Random) -> None:
        at = _pick(parts, chance, *names)
        if at is not None:
            parts[at] = change(parts[at], chance)

    return apply


def _remove(parts: list[Part], chance: random.Random) -> None:
    if parts:
        del parts[chance.randrange(len(parts))]


def _repeat(parts: list[Part], chance: random.Random) -> None:
    at = _pick(parts, chance)
    if at is not None:
        parts.insert(chance.randrange(len(parts) + 1), parts[at])


def _move(parts: list[Part], chance: random.Random) -> None:
    if parts:
        part = parts.pop(chance.randrange(len(parts)))
        parts.insert(chance.randrange(len(parts) + 1), part)


def _change_bytes(part: Part, chance: random.Random) -> Part:
    payload = bytearray(part.payload)
    for _ in range(chance.randint(1, 3) if payload else 0):
        payload[chance.randrange(len(payload))] = chance.choice(
            (0, 1, 0x7F, 0xFF, chance.randrange(256))
        )
    return replace(part, payload=bytes(payload))


def _resize(part: Part, chance: random.Random) -> Part:
    change = chance.choice((-3, -1, 1, 2, 5))
    if change < 0:
        return replace(part, payload=part.payload[:change])
    return replace(part, payload=part.payload + chance.randbytes(change))


def _lie(part: Part, chance: random.Random) -> Part:
    return replace(part, lie=chance.choice((-2, -1, 1, 3, 200, 60_000)))


def _add_junk(part: Part, chance: random.Random) -> Part:
    junk = (b"\0\0", b"\xff", b"\xff\xff\0", b"\xff\xd0", b"\xff\xd8", b"\xff\x3f\0\2", b"junk")
    return replace(part, tail=part.tail + chance.choice(junk))


def _split_data(parts: list[Part], chance: random.Random) -> None:
    at = _pick(parts, chance, b"IDAT")
    if at is None:
        return
    payload = parts[at].payload
    cuts = sorted(chance.randrange(len(payload) + 1) for _ in range(chance.randint(1, 3)))
    pieces = [payload[a:b] for a, b in zip([0, *cuts], [*cuts, len(payload)], strict=True)]
    parts[at : at + 1] = [replace(parts[at], payload=piece) for piece in pieces]
    if chance.random() < 0.4:
        parts.insert(at + 1, Part(b"tEXt", b"a\0b"))


def _insert_chunk(parts: list[Part], chance: random.Random) -> None:
    name = chance.choice(_PNG_NAMES) if chance.random() < 0.7 else _random_name(chance)
    length = chance.choice((0, 1, 2, 3, 4, 6, 7, 8, 9, 13, 24, 32, 300, 768, 771))
    payload = chance.choice((bytes, chance.randbytes))(length)
    if name in {b"zTXt", b"iCCP"} and chance.random() < 0.7:
        payload = b"a\0\0" + zlib.compress(payload)
    parts.insert(chance.randrange(len(parts) + 1), Part(name, payload))


def _random_name(chance: random.Random) -> bytes:
    letters = b"aAzZbB1_ \0\xe9"
    return bytes(chance.choice(letters) for _ in range(4))


def _rename_chunk(part: Part, chance: random.Random) -> Part:
    at = chance.randrange(4)
    letter = chance.choice((part.name[at] ^ 0x20, chance.randrange(256)))
    return replace(part, name=part.name[:at] + bytes([letter]) + part.name[at + 1 :])


def _repack_data(parts: list[Part], chance: random.Random) -> None:
    """Compress the rows again: changed, shortened, extended, or with another header."""
    at = _pick(parts, chance, b"IDAT")
    if at is None:
        return
    try:
        rows = zlib.decompress(parts[at].payload)
    except zlib.error:
        return
    kind = chance.randrange(4)
    if kind == 0:
        rows = rows[: chance.randrange(len(rows) + 1)]
    elif kind == 1:
        rows += bytes(chance.randrange(100))
    elif kind == 2:
        rows = bytes([chance.randrange(7)]) + rows[1:]
    packed = zlib.compress(rows, chance.randrange(10))
    if kind == 3:
        packed = chance.randbytes(2) + packed[2:]
    parts[at] = replace(parts[at], payload=packed)


def _insert_segment(parts: list[Part], chance: random.Random) -> None:
    length = chance.choice((0, 1, 2, 3, 5, 12, 14, 65, 129, 300))
    part = Part(bytes([chance.choice(_MARKERS)]), chance.randbytes(length))
    parts.insert(chance.randrange(len(parts) + 1), part)


def _rename_segment(part: Part, chance: random.Random) -> Part:
    return replace(part, name=bytes([chance.choice(_MARKERS)]))


def _change_factors(part: Part, chance: random.Random) -> Part:
    payload = bytearray(part.payload)
    for at in range(7, len(payload), 3):
        if chance.random() < 0.6:
            payload[at] = chance.choice((*_FACTORS, chance.randrange(256)))
    return replace(part, payload=bytes(payload))


def _change_scan(part: Part, chance: random.Random) -> Part:
    """Change spectral selection, approximation, components or tables."""
    payload = bytearray(part.payload)
    if payload:
        at = chance.choice((0, len(payload) - 1, len(payload) - 2, chance.randrange(len(payload))))
        payload[at] = chance.choice((0, 1, 2, 5, 0x10, 0x11, 0x21, 63, 64, 0xFF))
    return replace(part, payload=bytes(payload))


def _set_interval(parts: list[Part], chance: random.Random) -> None:
    interval = struct.pack(">H", chance.choice((0, 1, 2, 3, 5, 65_535)))
    parts.insert(chance.randrange(len(parts) + 1), Part(b"\xdd", interval))


def _damage_scan(part: Part, chance: random.Random) -> Part:
    if not part.tail:
        return part
    at = chance.randrange(len(part.tail))
    marker = b"\xff" + bytes([chance.choice((*range(0xD0, 0xDA), 0xFF, 0, 0xE1, 0x3F))])
    inserted = chance.choice((marker, chance.randbytes(1), b"\xff\xff\0"))
    keep = at + chance.choice((0, 0, 1, 2))
    return replace(part, tail=part.tail[:at] + inserted + part.tail[keep:])


_BOTH: tuple[_Change, ...] = (
    _remove, _repeat, _move, _changing(_change_bytes), _changing(_resize), _changing(_lie),
)  # fmt: skip
_PNG_CHANGES: tuple[_Change, ...] = (
    *_BOTH, _split_data, _split_data, _insert_chunk, _insert_chunk, _insert_chunk, _repack_data,
    _changing(_rename_chunk), _changing(_change_bytes, b"IHDR", b"PLTE", b"tRNS"),
    _changing(_resize, b"PLTE", b"tRNS"), _changing(_add_junk),
    _changing(lambda part, _: replace(part, wrong_checksum=True)),
)  # fmt: skip
_JPEG_CHANGES: tuple[_Change, ...] = (
    *_BOTH, _insert_segment, _insert_segment, _set_interval, _changing(_rename_segment),
    _changing(_change_factors, b"\xc0", b"\xc1", b"\xc2"),
    _changing(_change_factors, b"\xc0", b"\xc1", b"\xc2"),
    _changing(_change_bytes, b"\xc0", b"\xc2", b"\xc4", b"\xdb"),
    _changing(_change_scan, b"\xda"), _changing(_change_scan, b"\xda"),
    _changing(_damage_scan, b"\xda"), _changing(_add_junk),
)  # fmt: skip
