"""Small image files that cost a library far more memory or time than their size suggests."""

from __future__ import annotations

import io
import struct
import zlib
from functools import cache
from typing import TYPE_CHECKING

from PIL import Image, features

if TYPE_CHECKING:
    from collections.abc import Iterator

MB = 1 << 20
_SHORT, _LONG, _UNDEFINED = 3, 4, 7


def encode(kind: str, **options: object) -> bytes:
    """Return a small colour image."""
    content = io.BytesIO()
    Image.linear_gradient("L").resize((16, 16)).convert("RGB").save(content, kind, **options)
    return content.getvalue()


def directory(entries: list[tuple[int, int, int, int]], following: int = 0) -> bytes:
    """Return a TIFF directory: tag, type, count and offset of each entry."""
    packed = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return struct.pack("<H", len(entries)) + packed + struct.pack("<I", following)


def overlapping(size: int, *, first: tuple[tuple[int, int, int, int], ...] = ()) -> bytes:
    """Return a TIFF structure of `size` bytes, half of it tags that all refer to the whole."""
    count = min(60_000, size // 24)
    tags = [(1000 + number, _UNDEFINED, size - 16, 8) for number in range(count)]
    head = b"II*\0" + struct.pack("<I", 8) + directory([*first, *tags])
    return head.ljust(size, b"\0")


def exif_bombs(size: int) -> Iterator[tuple[str, bytes]]:
    """Yield EXIF blocks of about `size` bytes that cost a reader without limits far more."""
    yield "overlapping tags", overlapping(size)
    same = [(0x010E, _UNDEFINED, size - 16, 8)] * min(60_000, size // 24)
    yield "one tag again and again", (b"II*\0\x08\0\0\0" + directory(same)).ljust(size, b"\0")
    yield "directory that follows itself", b"II*\0\x08\0\0\0" + directory([], 8)
    huge = [(1000 + number, _LONG, 0xFFFFFFFF, 8) for number in range(100)]
    yield "huge counts", (b"II*\0\x08\0\0\0" + directory(huge)).ljust(size, b"\0")
    nested = [(tag, _LONG, 1, 8) for tag in (0x8769, 0x8825, 0xA005, 0x014A)]
    yield "directories inside themselves", b"II*\0\x08\0\0\0" + directory(nested)
    maker = [(0x927C, _UNDEFINED, size - 100, 8)]
    yield "maker note", (b"II*\0\x08\0\0\0" + directory(maker)).ljust(size, b"\0")
    orientations = [(0x0112, _SHORT, 1, 6)] * 4000
    yield "orientation again and again", b"II*\0\x08\0\0\0" + directory(orientations)
    yield "identifier again and again", b"Exif\0\0" * (size // 6)


def segment(marker: int, payload: bytes) -> bytes:
    """Return a JPEG segment."""
    return bytes([0xFF, marker]) + struct.pack(">H", len(payload) + 2) + payload


def in_jpeg(exif: bytes) -> bytes:
    """Return a JPEG with an EXIF block in as many segments as it needs."""
    parts = [exif[at : at + 65_000] for at in range(0, len(exif), 65_000)]
    jpeg = encode("JPEG")
    return jpeg[:2] + b"".join(segment(0xE1, b"Exif\0\0" + part) for part in parts) + jpeg[2:]


def chunk(kind: bytes, payload: bytes) -> bytes:
    """Return a PNG chunk."""
    body = kind + payload
    return struct.pack(">I", len(payload)) + body + struct.pack(">I", zlib.crc32(body))


def in_png(*chunks: bytes) -> bytes:
    """Return a PNG with these chunks after its header."""
    png = encode("PNG")
    return png[:33] + b"".join(chunks) + png[33:]


def in_webp(*chunks: tuple[bytes, bytes], flags: int = 0x0C) -> bytes:
    """Return a WebP with these chunks after its image."""
    simple = encode("WEBP")
    head = b"VP8X" + struct.pack("<IB3x", 10, flags) + b"\x0f\0\0" * 2
    body = head + simple[12:]
    body += b"".join(
        kind + struct.pack("<I", len(payload)) + payload + bytes(len(payload) % 2)
        for kind, payload in chunks
    )
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def in_avif(exif: bytes) -> bytes:
    """Return an AVIF whose EXIF block is replaced after the encoder has read it."""
    harmless = b"II*\0\x08\0\0\0\0\0\0\0\0\0".ljust(len(exif), b"\0")
    avif = encode("AVIF", exif=b"Exif\0\0" + harmless)
    assert avif.count(harmless) == 1
    return avif.replace(harmless, exif)


def as_tiff(size: int, *entries: tuple[int, int, int, int]) -> bytes:
    """Return a TIFF of 16x16 grey pixels with overlapping tags, and further entries."""
    image = [(256, 3, 1, 16), (257, 3, 1, 16), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1)]
    return overlapping(size, first=(*image, (273, 4, 1, 8), (278, 3, 1, 16), *entries))


def gif_blocks(block: bytes, count: int, *, before: bool) -> bytes:
    """Return a GIF with many blocks before its image, or after it."""
    gif = encode("GIF")
    at = gif.index(b",\0\0\0\0") if before else len(gif) - 1
    return gif[:at] + block * count + gif[at:]


def many_scans(count: int, *, progressive: bool, header: bytes = b"\x01\x01\x00") -> bytes:
    """Return a JPEG whose first scan header is followed by many scans without data."""
    jpeg = encode("JPEG", progressive=progressive)
    spectral = b"\0\0\0" if progressive else b"\0\x3f\0"
    scans = segment(0xDA, header + spectral) * count
    return jpeg[:-2] + scans + jpeg[-2:]


def hidden_scans(count: int) -> bytes:
    """Return scans behind a marker without a length, which a reader may take for a length."""
    jpeg = encode("JPEG", progressive=True)
    scans = segment(0xDA, b"\x01\x01\x00\0\0\0") * count
    return jpeg[:-2] + (b"\xff\x01\xff\xda" + scans[2:60_000]) * 2 + scans + jpeg[-2:]


def bmp_deltas(width: int) -> bytes:
    """Return a run-length encoded BMP whose first delta skips 255 rows of `width` pixels."""
    header = struct.pack("<IiiHHIIiiII", 40, width, 1, 1, 8, 1, 0, 0, 0, 0, 0)
    pixels = b"\0\2\xff\xff" * 4 + b"\0\1"
    return (
        (b"BM" + struct.pack("<IHHI", 54 + 1024 + len(pixels), 0, 0, 1078) + header)
        + bytes(1024)
        + pixels
    )


@cache
def bombs(size: int) -> dict[str, bytes]:
    """Return the bombs by name; their size is about `size` bytes."""
    found: dict[str, bytes] = {}
    for name, exif in exif_bombs(size):
        found[f"jpeg, exif: {name}"] = in_jpeg(exif)
        found[f"png, exif: {name}"] = in_png(chunk(b"eXIf", exif))
        found[f"webp, exif: {name}"] = in_webp((b"EXIF", exif))
        if features.check("avif"):
            found[f"avif, exif: {name}"] = in_avif(exif)
    offsets = tuple((273, _SHORT, size // 2 - 100, 8) for _ in range(2000))
    found |= {
        "tiff: overlapping tags": as_tiff(size),
        "tiff: strips again and again": as_tiff(size, *offsets),
        "tiff: one strip list as long as the file": as_tiff(size, (273, _SHORT, size // 2 - 50, 8)),
        "tiff: directory that follows itself": as_tiff(200)[:-4] + struct.pack("<I", 8),
        "tiff: bits without end": as_tiff(size, (258, _SHORT, size // 2 - 50, 8)),
        "png: text bomb": in_png(chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(8 * MB)))),
        "png: text bombs": in_png(*[chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(MB)))] * 50),
        "png: international text": in_png(
            chunk(b"iTXt", b"a\0\1\0\0\0" + zlib.compress(bytes(8 * MB)))
        ),
        "png: xmp": in_png(
            chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(bytes(8 * MB)))
        ),
        "png: profile": in_png(chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(8 * MB)))),
        "png: small private chunks": in_png(chunk(b"prVt", b"") * (size // 12)),
        "png: frames": in_png(
            chunk(b"acTL", struct.pack(">II", 9999, 0)), chunk(b"fcTL", bytes(26)) * (size // 38)
        ),
        "jpeg: xmp": encode("JPEG")[:2]
        + segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + b"x" * 60_000) * (size // 30_000)
        + encode("JPEG")[2:],
        "jpeg: small segments": encode("JPEG")[:2]
        + segment(0xFE, b"") * (size // 4)
        + encode("JPEG")[2:],
        "jpeg: colour spaces": encode("JPEG")[:2]
        + segment(0xEE, b"Adobe\0\x64\0\0\0\0\1") * (size // 16)
        + encode("JPEG")[2:],
        "jpeg: fill bytes": encode("JPEG")[:2] + b"\xff" * size + encode("JPEG")[2:],
        "jpeg: progressive scans": many_scans(9000, progressive=True),
        "jpeg: sequential scans": many_scans(9000, progressive=False),
        "jpeg: hidden scans": hidden_scans(9000),
        "gif: comments": gif_blocks(b"!\xfe\x01a\0", size // 5, before=True),
        "gif: one comment": gif_blocks(b"!\xfe" + b"\x01a" * (size // 2) + b"\0", 1, before=True),
        "gif: extensions": gif_blocks(b"!\x01\0", size // 3, before=True),
        "gif: extensions after the image": gif_blocks(b"!\xf9\0", size // 3, before=False),
        "gif: unknown bytes": gif_blocks(b"\0", size, before=True),
        "webp: chunks": in_webp(*[(b"abcd", b"")] * (size // 8)),
        "webp: frames": in_webp(*[(b"ANMF", bytes(24))] * (size // 32), flags=2),
        "webp: xmp": in_webp((b"XMP ", b"x" * size)),
        "bmp: deltas over long rows": bmp_deltas(1_000_000),
    }  # fmt: skip
    return found
