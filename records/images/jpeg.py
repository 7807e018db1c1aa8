"""JPEG markers and scans, read without decoding.

    FF D8 | FF marker, length (2 bytes, including itself), payload | … | FF DA scan | … | FF D9
    FF DA, header | entropy-coded bytes, in which 00 or a restart marker follows each FF | …

Pillow takes ten times as long to read the markers, and does not report how the image is coded.
Decoders differ in the scan errors that they tolerate, so a file with an error in a scan is not
stored unchanged.
"""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING

import msgspec

from records.images.rejection import ImageRejectedError
from records.images.structure.jpeg_markers import MarkerOrder

if TYPE_CHECKING:
    from collections.abc import Iterator


_START_OF_SCAN = 0xDA
_END_MARKER = b"\xff\xd9"
_METADATA = 0xE1
_FILL = 0xFF
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_HUFFMAN_FRAMES = {0xC0, 0xC1, 0xC2}
_ARITHMETIC_FRAMES = {0xC9, 0xCA}
_PROGRESSIVE = 0xC2
# Tables, restart interval, number of lines, application data and comments.
_SEGMENTS = {0xC4, 0xCC, 0xDA, 0xDB, 0xDC, 0xDD, 0xFE, *range(0xE0, 0xF0)} | _FRAMES
_BARE = {0x01, *range(0xD0, 0xD9)}
_FRAME_BYTES = 6
_SEGMENT = struct.Struct(">BBH")


class JpegHeader(msgspec.Struct, frozen=True, gc=False):
    """The frame header of a JPEG.

    Attributes:
        width: the width in pixels, as coded (before any EXIF rotation).
        height: the height in pixels, as coded.
        bits: the number of bits per sample.
        component_ids: the identifier of each component: one component means grey, three mean
            colour, four mean CMYK or YCCK.
        huffman: whether the coding is Huffman, which every decoder reads; otherwise it is
            arithmetic.
        buffered: whether a decoder must buffer all coefficients, because there are several scans.
        complete: whether the scans contain all coefficients. Decoders fill gaps in different ways.
        regular: whether all markers have the order, number and parameters that every decoder reads,
            up to the end-of-image marker.
        metadata: whether there is an EXIF or XMP segment, which may contain an orientation.
        scan_offset: the offset, in the file, of the payload of the first scan header.
    """

    width: int
    height: int
    bits: int
    component_ids: tuple[int, ...]
    huffman: bool
    buffered: bool
    complete: bool
    regular: bool
    metadata: bool
    scan_offset: int


def read_header(data: bytes) -> JpegHeader:
    """Read the header of a JPEG that begins with `FF D8`.

    Raises:
        ImageRejectedError: `truncated` if the end-of-image marker is missing, `corrupt` if the
            markers are invalid, `unsupported` for lossless and hierarchical JPEG.
    """
    frame: tuple[int, bytes] | None = None
    metadata = False
    order = MarkerOrder(data)
    at = 2
    while True:
        marker, payload_at, at = _next_segment(data, at)
        order.add(marker, payload_at, at)
        if marker in _FRAMES:
            if frame is not None:
                raise ImageRejectedError("corrupt", "JPEG with two frame headers")
            frame = marker, data[payload_at:at]
        elif marker == _METADATA:
            metadata = True
        elif marker == _START_OF_SCAN:
            break
    if frame is None:
        raise ImageRejectedError("corrupt", "JPEG scan before any frame header")
    if not _has_end_marker(data, at):
        raise ImageRejectedError("truncated", "JPEG without an end-of-image marker")
    regular = order.is_regular(at)
    return _describe(data, *frame, payload_at, metadata=metadata, regular=regular)


def read_frame_size(data: bytes) -> tuple[int, int]:
    """Return the coded width and height of a JPEG without its tables, such as a strip of a TIFF.

    Raises:
        ImageRejectedError: `truncated` or `corrupt`: there is no frame header.
    """
    at = 2
    while True:
        marker, payload_at, at = _next_segment(data, at)
        if marker in _FRAMES:
            frame = data[payload_at:at]
            return int.from_bytes(frame[3:5]), int.from_bytes(frame[1:3])
        if marker == _START_OF_SCAN:
            raise ImageRejectedError("corrupt", "JPEG scan before any frame header")


def _has_end_marker(data: bytes, scan_offset: int) -> bool:
    return data.endswith(_END_MARKER) or data.find(_END_MARKER, scan_offset) >= 0


def _next_segment(data: bytes, at: int) -> tuple[int, int, int]:
    """Return the first marker at or after `at`, and the offsets of payload and segment end.

    A marker without a payload, such as a restart marker, is empty.
    """
    if len(data) >= at + _SEGMENT.size:
        # Almost always the segments follow each other without other bytes between them.
        fill, marker, size = _SEGMENT.unpack_from(data, at)
        end = at + 2 + size
        if fill == _FILL and marker in _SEGMENTS and size >= 2 and end <= len(data):
            return marker, at + 4, end
    marker, at = _find_marker(data, at)
    if marker in _BARE:
        return marker, at, at
    if marker not in _SEGMENTS:
        raise ImageRejectedError("corrupt", f"JPEG header has the marker FF {marker:02X}")
    end = at + int.from_bytes(data[at : at + 2])
    if end < at + 2:
        raise ImageRejectedError("corrupt", f"JPEG marker FF {marker:02X} has an impossible length")
    if end > len(data):
        raise ImageRejectedError("truncated", "JPEG ends in its header")
    return marker, at + 2, end


def _find_marker(data: bytes, at: int) -> tuple[int, int]:
    """Return the first marker at or after `at`, and the offset after the marker."""
    while True:
        at = data.find(b"\xff", at)
        if at < 0 or at + 4 > len(data):
            raise ImageRejectedError("truncated", "JPEG ends in its header")
        marker = data[at + 1]
        if marker == _FILL:
            at += 1
        elif marker == 0:
            at += 2
        else:
            return marker, at + 2


def _describe(
    data: bytes, marker: int, frame: bytes, scan_offset: int, *, metadata: bool, regular: bool
) -> JpegHeader:
    if marker not in _HUFFMAN_FRAMES and marker not in _ARITHMETIC_FRAMES:
        raise ImageRejectedError("unsupported", "lossless or hierarchical JPEG")
    components = frame[_FRAME_BYTES - 1] if len(frame) >= _FRAME_BYTES else 0
    if len(frame) < _FRAME_BYTES + 3 * components:
        raise ImageRejectedError("corrupt", "JPEG frame header is too short")
    ids = tuple(frame[_FRAME_BYTES : _FRAME_BYTES + 3 * components : 3])
    progressive = marker == _PROGRESSIVE
    buffered = marker not in {0xC0, 0xC1} or data[scan_offset] < len(ids)
    scans = list(find_scans(data, scan_offset)) if buffered else []
    return JpegHeader(
        width=int.from_bytes(frame[3:5]),
        height=int.from_bytes(frame[1:3]),
        bits=frame[0],
        component_ids=ids,
        huffman=marker in _HUFFMAN_FRAMES,
        buffered=buffered,
        complete=not progressive or has_all_scans(data, scans, ids),
        regular=regular,
        metadata=metadata,
        scan_offset=scan_offset,
    )


_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd7\xff]")
_END_OF_IMAGE = 0xD9
_COEFFICIENTS = 64
MAX_SCANS = 100
"""The maximum number of scans. Each takes a decoder as long as a complete image, however short."""


def find_scans(data: bytes, scan_offset: int) -> Iterator[int]:
    """Yield the offset of the payload of each scan header, beginning with `scan_offset`.

    Raises:
        ImageRejectedError: `corrupt` if no end-of-image marker follows the last scan,
            `unsupported` if there are more than `MAX_SCANS`.
    """
    scans = 1
    yield scan_offset
    at = scan_offset - 2 + int.from_bytes(data[scan_offset - 2 : scan_offset])
    while found := _MARKER.search(data, at):
        marker, at = data[found.end() - 1], found.end()
        if marker == _END_OF_IMAGE:
            return
        if marker == _START_OF_SCAN:
            scans += 1
            if scans > MAX_SCANS:
                raise ImageRejectedError("unsupported", f"JPEG with more than {MAX_SCANS} scans")
            yield at + 2
        at += int.from_bytes(data[at : at + 2])
    raise ImageRejectedError(
        "corrupt", "JPEG has a marker in the image data that points past the end of the file"
    )


def has_all_scans(data: bytes, scans: list[int], component_ids: tuple[int, ...]) -> bool:
    """Return whether the scans of a progressive JPEG refine all coefficients to the last bit."""
    missing_bits = {identifier: [-1] * _COEFFICIENTS for identifier in component_ids}
    return all(_apply_scan(data, at, missing_bits) for at in scans) and not any(
        map(any, missing_bits.values())
    )


def _apply_scan(data: bytes, at: int, missing_bits: dict[int, list[int]]) -> bool:
    """Apply a scan to `missing_bits`; return False if it contradicts the previous scans."""
    count = data[at]
    scan = data[at : at + 4 + 2 * count]
    if len(scan) < 4 + 2 * count:
        return False
    first, last, bits = scan[-3:]
    if last >= _COEFFICIENTS:
        return False
    high, low = bits >> 4, bits & 15
    for identifier in scan[1 : 1 + 2 * count : 2]:
        missing = missing_bits.get(identifier, [])
        if any(max(0, known) != high for known in missing[first : last + 1]):
            return False
        missing[first : last + 1] = [low] * len(missing[first : last + 1])
    return True
