"""What the JPEG and PNG headers say, where storing a file does not show it."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import pytest

from records import jpeg, png
from records.rejections import RefusedError


def test_a_jpeg_header_says_how_it_is_coded(picture: Any, encode: Any) -> None:
    header = jpeg.read_header(encode(picture, "JPEG"))
    assert (header.width, header.height, header.bits) == (48, 32, 8)
    assert header.component_ids == (1, 2, 3)
    assert header.huffman
    assert header.complete
    assert not header.buffered
    assert not header.metadata


def test_a_progressive_jpeg_is_complete_only_with_all_its_scans(picture: Any, encode: Any) -> None:
    data = encode(picture, "JPEG", progressive=True)
    assert jpeg.read_header(data).complete
    assert jpeg.read_header(data).buffered
    scans = data.count(b"\xff\xda")
    assert scans > 4
    cut = data
    for _ in range(scans - 1):
        cut = cut[: cut.rindex(b"\xff\xda")]
        assert not jpeg.read_header(cut + b"\xff\xd9").complete


def test_a_scan_out_of_order_makes_a_jpeg_incomplete(picture: Any, encode: Any) -> None:
    data = encode(picture, "JPEG", progressive=True)
    first = data.index(b"\xff\xda")
    second = data.index(b"\xff\xda", first + 2)
    assert not jpeg.read_header(data[:second] + data[first:]).complete


def test_metadata_is_noticed(picture: Any, encode: Any) -> None:
    assert jpeg.read_header(encode(picture, "JPEG", exif=b"Exif\0\0")).metadata
    assert jpeg.read_header(encode(picture, "JPEG", xmp=b"<x/>")).metadata
    assert not jpeg.read_header(encode(picture, "JPEG", comment=b"x")).metadata


def test_arithmetic_coding_is_noticed(picture: Any, encode: Any) -> None:
    data = encode(picture, "JPEG").replace(b"\xff\xc0", b"\xff\xc9")
    assert not jpeg.read_header(data).huffman


def test_fill_bytes_and_bytes_between_segments_are_skipped(picture: Any, encode: Any) -> None:
    data = encode(picture, "JPEG")
    odd = data[:2] + b"\0\0junk\xff\xff" + data[2:]
    assert jpeg.read_header(odd) == jpeg.read_header(data)


@pytest.mark.parametrize("end", range(2, 200, 7))
def test_a_jpeg_cut_anywhere_is_truncated(picture: Any, encode: Any, end: int) -> None:
    with pytest.raises(RefusedError) as caught:
        jpeg.read_header(encode(picture, "JPEG")[:end])
    assert caught.value.rejection.reason == "truncated"


def test_a_png_cut_anywhere_is_truncated(picture: Any, encode: Any) -> None:
    data = encode(picture, "PNG")
    for end in range(8, len(data)):
        with pytest.raises(RefusedError) as caught:
            png.read_header(data[:end])
        assert caught.value.rejection.reason == "truncated"


def test_a_png_changed_anywhere_is_refused(picture: Any, encode: Any) -> None:
    data = encode(picture, "PNG")
    for at in range(8, len(data)):
        with pytest.raises(RefusedError):
            png.read_header(data[:at] + bytes([data[at] ^ 0x40]) + data[at + 1 :])


def with_window(data: bytes, bits: int) -> bytes:
    """The PNG, its zlib header promising a window of 2**bits bytes."""
    at = data.index(b"IDAT")
    size = int.from_bytes(data[at - 4 : at])
    method = (bits - 8) << 4 | 8
    check = 31 - (method << 8) % 31
    body = b"IDAT" + bytes([method, check]) + data[at + 6 : at + 4 + size]
    return data[:at] + body + struct.pack(">I", zlib.crc32(body)) + data[at + 8 + size :]


@pytest.mark.parametrize(("bits", "narrow"), [(8, True), (12, True), (13, False), (15, False)])
def test_a_png_whose_window_is_smaller_than_its_picture_is_noticed(
    picture: Any, encode: Any, bits: int, narrow: bool
) -> None:
    # 32 rows of a filter byte and 48 RGB pixels are 4,640 bytes: 2**13 hold them.
    assert png.read_header(with_window(encode(picture, "PNG"), bits)).narrow_window is narrow
