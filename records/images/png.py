"""Reader of PNG chunks and rows; verifies the checksums of chunks.

    89 "PNG" 0D 0A 1A 0A | length (4 bytes), type (4), payload, CRC-32 of type and payload | …

Pillow tolerates some wrong checksums and some missing ends; other readers reject such files.
"""

from __future__ import annotations

import zlib
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from records.images.rejection import ImageRejectedError
from records.images.structure.png_chunks import ChunkOrder, has_zlib_header
from records.text.formatting import pluralize

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEADER_BYTES = 13
_HEADER_START = b"\0\0\0\rIHDR"
_END_CHUNK = b"\0\0\0\0IEND\xaeB`\x82"
_PIXEL_CHUNKS = {b"PLTE", b"tRNS", b"IDAT", b"IEND"}
_TEXTS = {b"tEXt", b"zTXt", b"iTXt"}
_ORIENTATION_TEXTS = (b"Raw profile type ", b"XML:com.adobe.xmp")
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_BIT_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_KEY_BYTES = {0: 2, 2: 6}
_DESCRIBED = {b"PLTE", b"tRNS", b"IDAT", b"acTL"}
_UNPACK_BYTES = 1 << 20
_ZLIB_HEADER_BYTES, _ZLIB_CHECKSUM_BYTES = 2, 4
# Passes of interlacing: first column, first row, column step, row step.
_ADAM7 = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)
GREY, RGB, PALETTE = 0, 2, 3


class PngHeader(msgspec.Struct, frozen=True, gc=False):
    """The header of a PNG.

    Attributes:
        width: the width in pixels, as coded (before any EXIF rotation).
        height: the height in pixels, as coded.
        bit_depth: the number of bits per sample.
        colour_type: the type of pixel: 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGB and alpha.
        transparency: the payload of the tRNS chunk; None if the chunk is missing, or if the colour
            type has an alpha channel.
        animated: whether the file is an APNG.
        metadata: whether there is a chunk that may contain an orientation.
        ancillary: whether there are chunks that do not determine the pixels.
        regular: whether all chunks have the name, order, number and length that the specification
            defines. libpng rejects some of the other files; Pillow accepts most of them.
        narrow_window: whether the zlib header declares a window smaller than the image. libpng
            enforces the window; other readers do not.
        rows_bytes: the size of the uncompressed data.
    """

    width: int
    height: int
    bit_depth: int
    colour_type: int
    transparency: bytes | None
    animated: bool
    metadata: bool
    ancillary: bool
    regular: bool
    narrow_window: bool
    rows_bytes: int


def read_header(data: bytes) -> PngHeader:
    """Read the header of a PNG that begins with its signature; check the CRCs of all chunks.

    Raises:
        ImageRejectedError: `truncated` if the IEND chunk is missing, `corrupt` if a checksum or
            the structure is invalid, `unsupported` for the CgBI variant of Apple.
    """
    plain = read_plain(data)
    return read_general(data) if plain is None else plain


def read_plain(data: bytes) -> PngHeader | None:
    """Return the header of a valid PNG of the chunks IHDR, IDAT and IEND, in a third of the time.

    Most encoders write small images so. Returns None for other files, damaged ones too.
    """
    end = 45 + int.from_bytes(data[33:37])
    if data[8:16] != _HEADER_START or data[37:41] != b"IDAT" or data[end:] != _END_CHUNK:
        return None
    view = memoryview(data)
    if zlib.crc32(view[12:29]) != int.from_bytes(data[29:33]):
        return None
    if zlib.crc32(view[37 : end - 4]) != int.from_bytes(data[end - 4 : end]):
        return None
    header = _describe_header(data[16:29])
    order = ChunkOrder(header.colour_type, header.rows_bytes)
    return _describe(
        header,
        {b"IDAT": view[41 : end - 4]},
        metadata=False,
        ancillary=False,
        regular=order.allows_data(end - 45),
    )


def read_general(data: bytes) -> PngHeader:
    """Return the header of any PNG. Raises as `read_header`."""
    chunks = _read_chunks(data)
    kind, header = next(chunks)
    if kind == b"CgBI":
        raise ImageRejectedError("unsupported", "PNG in Apple's CgBI variant; convert it to PNG")
    if kind != b"IHDR" or len(header) != _HEADER_BYTES:
        raise ImageRejectedError("corrupt", "PNG does not begin with its header chunk")
    described = _describe_header(bytes(header))
    order = ChunkOrder(described.colour_type, described.rows_bytes)
    seen: dict[bytes, memoryview] = {}
    metadata = ancillary = False
    for kind, payload in chunks:
        if kind not in _PIXEL_CHUNKS:
            if kind[0] & 0x20 == 0:
                raise ImageRejectedError(
                    "corrupt", f"PNG has an unknown critical chunk {_name(kind)}"
                )
            ancillary = True
            metadata |= kind == b"eXIf" or (
                kind in _TEXTS and bytes(payload[:17]).startswith(_ORIENTATION_TEXTS)
            )
        order.add(kind, len(payload))
        if kind in _DESCRIBED:
            seen.setdefault(kind, payload)
    return _describe(described, seen, metadata=metadata, ancillary=ancillary, regular=order.regular)


def _read_chunks(data: bytes, *, verify: bool = True) -> Iterator[tuple[bytes, memoryview]]:
    view = memoryview(data)
    at = 8
    kind = b""
    while kind != b"IEND":
        end = at + 12 + int.from_bytes(data[at : at + 4])
        if end > len(data):
            # If an IEND chunk follows, no bytes are missing: the length is wrong.
            if data.find(b"IEND\xaeB`\x82", at) >= 0:
                raise ImageRejectedError(
                    "corrupt", f"PNG chunk at byte {at} has an impossible length"
                )
            raise ImageRejectedError("truncated", "PNG ends before its IEND chunk")
        kind = data[at + 4 : at + 8]
        if verify and zlib.crc32(view[at + 4 : end - 4]) != int.from_bytes(data[end - 4 : end]):
            raise ImageRejectedError(
                "corrupt", f"PNG chunk {_name(kind)} at byte {at} has a wrong checksum"
            )
        yield kind, view[at + 8 : end - 4]
        at = end


class _Header(NamedTuple):
    width: int
    height: int
    bit_depth: int
    colour_type: int
    rows_bytes: int


@lru_cache(maxsize=64)
def _describe_header(payload: bytes) -> _Header:
    width, height = int.from_bytes(payload[:4]), int.from_bytes(payload[4:8])
    bit_depth, colour_type, compression, filtering, interlace = payload[8:]
    if bit_depth not in _BIT_DEPTHS.get(colour_type, ()):
        raise ImageRejectedError(
            "corrupt", f"PNG of colour type {colour_type} with {pluralize(bit_depth, 'bit')}"
        )
    if compression or filtering or interlace > 1:
        raise ImageRejectedError(
            "corrupt", "PNG with an unknown compression, filter or interlacing"
        )
    rows_bytes = _count_row_bytes(width, height, bit_depth * _SAMPLES[colour_type], interlace)
    return _Header(width, height, bit_depth, colour_type, rows_bytes)


def _describe(
    header: _Header,
    seen: dict[bytes, memoryview],
    *,
    metadata: bool,
    ancillary: bool,
    regular: bool,
) -> PngHeader:
    if b"IDAT" not in seen:
        raise ImageRejectedError("corrupt", "PNG without image data")
    if header.colour_type == PALETTE and b"PLTE" not in seen:
        raise ImageRejectedError("corrupt", "PNG without its palette")
    first_data = seen[b"IDAT"]
    return PngHeader(
        width=header.width,
        height=header.height,
        bit_depth=header.bit_depth,
        colour_type=header.colour_type,
        transparency=_read_transparency(header.colour_type, seen.get(b"tRNS")),
        animated=b"acTL" in seen,
        metadata=metadata,
        ancillary=ancillary,
        regular=regular and has_zlib_header(first_data),
        narrow_window=_window_bytes(first_data) < min(header.rows_bytes, 1 << 15),
        rows_bytes=header.rows_bytes,
    )


def verify_row_data(data: bytes, rows_bytes: int) -> None:
    """Check that the compressed data of a PNG contains all rows, and is complete.

    The chunks must be valid. Pillow leaves missing rows black and accepts compressed data without
    its end; libpng, and therefore TensorFlow, rejects both.

    Raises:
        ImageRejectedError: `corrupt` if rows or the end of the compressed data are missing.
        zlib.error: the data cannot be decompressed.
    """
    # Skip the zlib header and checksum: all readers ignore a wrong checksum after the last row.
    unpack = zlib.decompressobj(-zlib.MAX_WBITS)
    unpacked_bytes = bytes_after = 0
    for payload in _read_data(data):
        if unpack.eof:
            bytes_after += len(payload)
            continue
        rest: bytes | memoryview = payload
        while rest and not unpack.eof and unpacked_bytes <= rows_bytes + _UNPACK_BYTES:
            unpacked_bytes += len(unpack.decompress(rest, _UNPACK_BYTES))
            rest = unpack.unconsumed_tail
        bytes_after = len(unpack.unused_data)
    unpacked_bytes += len(unpack.flush())
    if unpacked_bytes < rows_bytes:
        raise ImageRejectedError(
            "corrupt", f"PNG lacks {pluralize(rows_bytes - unpacked_bytes, 'byte')} of rows"
        )
    if not unpack.eof or bytes_after < _ZLIB_CHECKSUM_BYTES:
        raise ImageRejectedError("corrupt", "the compressed data of the PNG has no end")


def _read_data(data: bytes) -> Iterator[memoryview]:
    """Yield the payloads of the data chunks, without the zlib header."""
    header_bytes = _ZLIB_HEADER_BYTES
    for kind, payload in _read_chunks(data, verify=False):
        if kind == b"IDAT":
            yield payload[header_bytes:]
            header_bytes = max(0, header_bytes - len(payload))


def _count_row_bytes(width: int, height: int, bits_per_px: int, interlace: int) -> int:
    """Return the size of all rows, including one filter byte per row."""
    total = 0
    for left, top, across, down in _ADAM7 if interlace else ((0, 0, 1, 1),):
        columns = (width - left + across - 1) // across
        rows = (height - top + down - 1) // down
        if columns > 0:
            total += rows * (1 + (columns * bits_per_px + 7) // 8)
    return total


def _read_transparency(colour_type: int, payload: memoryview | None) -> bytes | None:
    if payload is None or colour_type > PALETTE:
        return None
    if len(payload) != _KEY_BYTES.get(colour_type, len(payload)):
        raise ImageRejectedError("corrupt", "PNG transparency chunk has a wrong length")
    return bytes(payload)


def _window_bytes(first_data: memoryview) -> int:
    # An empty first chunk is valid but rare: treat its window as narrow, to re-encode the image.
    return 1 << (8 + (first_data[0] >> 4)) if len(first_data) else 0


def _name(kind: bytes) -> str:
    return kind.decode("ascii", "backslashreplace")
