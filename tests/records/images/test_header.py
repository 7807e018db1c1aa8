"""Headers of JPEG and PNG files, beyond what normalized images show."""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image

from records.images import (
    ImageOptions,
    NormalizedImage,
    Rejection,
    jpeg,
    normalize_image,
    png,
)
from records.images.rejection import ImageRejectedError


def test_jpeg_header_baseline_file_reports_size_and_coding(picture: Any, encode: Any) -> None:
    header = jpeg.read_header(encode(picture, "JPEG"))
    assert (header.width, header.height, header.bits) == (48, 32, 8)
    assert header.component_ids == (1, 2, 3)
    assert header.huffman
    assert header.complete
    assert not header.buffered
    assert not header.metadata


def test_jpeg_header_progressive_with_missing_scans_is_incomplete(
    picture: Any, encode: Any
) -> None:
    data = encode(picture, "JPEG", progressive=True)
    assert jpeg.read_header(data).complete
    assert jpeg.read_header(data).buffered
    scans = data.count(b"\xff\xda")
    assert scans > 4
    cut = data
    for _ in range(scans - 1):
        cut = cut[: cut.rindex(b"\xff\xda")]
        assert not jpeg.read_header(cut + b"\xff\xd9").complete


def test_jpeg_header_scan_out_of_order_is_incomplete(picture: Any, encode: Any) -> None:
    data = encode(picture, "JPEG", progressive=True)
    first = data.index(b"\xff\xda")
    second = data.index(b"\xff\xda", first + 2)
    assert not jpeg.read_header(data[:second] + data[first:]).complete


def test_jpeg_header_exif_or_xmp_sets_metadata(picture: Any, encode: Any) -> None:
    assert jpeg.read_header(encode(picture, "JPEG", exif=b"Exif\0\0")).metadata
    assert jpeg.read_header(encode(picture, "JPEG", xmp=b"<x/>")).metadata
    assert not jpeg.read_header(encode(picture, "JPEG", comment=b"x")).metadata


def test_jpeg_header_arithmetic_coding_is_not_huffman(picture: Any, encode: Any) -> None:
    data = encode(picture, "JPEG").replace(b"\xff\xc0", b"\xff\xc9")
    assert not jpeg.read_header(data).huffman


def test_jpeg_header_fill_and_stray_bytes_are_skipped(picture: Any, encode: Any) -> None:
    data = encode(picture, "JPEG")
    odd = data[:2] + b"\0\0junk\xff\xff" + data[2:]
    assert jpeg.read_header(odd).scan_offset == jpeg.read_header(data).scan_offset + 8


@pytest.mark.parametrize("end", range(2, 200, 7))
def test_jpeg_header_cut_at_any_length_is_rejected_as_truncated(
    picture: Any, encode: Any, end: int
) -> None:
    with pytest.raises(ImageRejectedError) as caught:
        jpeg.read_header(encode(picture, "JPEG")[:end])
    assert caught.value.rejection.reason == "truncated"


def test_png_header_cut_at_any_length_is_rejected_as_truncated(picture: Any, encode: Any) -> None:
    data = encode(picture, "PNG")
    for end in range(8, len(data)):
        with pytest.raises(ImageRejectedError) as caught:
            png.read_header(data[:end])
        assert caught.value.rejection.reason == "truncated"


def test_png_header_any_changed_byte_is_rejected(picture: Any, encode: Any) -> None:
    data = encode(picture, "PNG")
    for at in range(8, len(data)):
        with pytest.raises(ImageRejectedError):
            png.read_header(data[:at] + bytes([data[at] ^ 0x40]) + data[at + 1 :])


def with_data(data: bytes, compressed: bytes) -> bytes:
    """Return the PNG with other compressed data."""
    at = data.index(b"IDAT")
    body = b"IDAT" + compressed
    head = data[: at - 4] + struct.pack(">I", len(compressed))
    return head + body + struct.pack(">I", zlib.crc32(body)) + data[data.index(b"IEND") - 4 :]


ROWS_BYTES = 32 * (1 + 48 * 3)
ROWS = bytes(ROWS_BYTES)


@pytest.mark.parametrize(
    ("compressed", "whole"),
    [
        (zlib.compress(ROWS), True),
        (zlib.compress(ROWS + b"surplus"), True),
        (zlib.compress(ROWS)[:-4] + b"\0\0\0\0", True),
        (zlib.compress(ROWS)[:-1], False),
        (zlib.compress(ROWS)[:-5], False),
        (zlib.compress(ROWS[:-1]), False),
        (zlib.compress(ROWS + bytes(4 << 20)), False),
    ],
)
def test_png_row_data_missing_or_oversized_is_rejected(
    picture: Any, encode: Any, compressed: bytes, whole: bool
) -> None:
    data = with_data(encode(picture, "PNG"), compressed)
    assert png.read_header(data).rows_bytes == ROWS_BYTES
    if whole:
        png.verify_row_data(data, ROWS_BYTES)
        return
    with pytest.raises(ImageRejectedError):
        png.verify_row_data(data, ROWS_BYTES)
    assert isinstance(normalize_image(data, ImageOptions()), Rejection)


@pytest.mark.parametrize("size", [(1, 1), (2, 9), (5, 3), (8, 8), (9, 17)])
def test_png_header_interlaced_row_bytes_are_counted(size: tuple[int, int]) -> None:
    header = struct.pack(">IIBBBBB", *size, 8, 0, 0, 0, 1)
    counted = sum(
        rows * (1 + columns)
        for columns, rows in (
            (len(range(left, size[0], across)), len(range(top, size[1], down)))
            for left, top, across, down in [
                (0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4),
                (1, 0, 2, 2), (0, 1, 1, 2),
            ]
        )
        if columns
    )  # fmt: skip
    data = b"\x89PNG\r\n\x1a\n"
    for kind, payload in (
        (b"IHDR", header),
        (b"IDAT", zlib.compress(bytes(counted))),
        (b"IEND", b""),
    ):
        body = kind + payload
        data += struct.pack(">I", len(payload)) + body + struct.pack(">I", zlib.crc32(body))
    assert png.read_header(data).rows_bytes == counted
    assert isinstance(normalize_image(data, ImageOptions()), NormalizedImage)


def test_normalize_image_jpeg_marker_past_end_is_rejected_as_corrupt(
    picture: Any, encode: Any
) -> None:
    # Pillow forgives it, TensorFlow does not.
    data = encode(picture, "JPEG")
    at = data.index(b"\xff\xda") + 40
    rejection = normalize_image(data[:at] + b"\xff\xe2\x7b\xf4" + data[at + 4 :], ImageOptions())
    assert isinstance(rejection, Rejection)
    assert rejection.reason == "corrupt"


def with_window(data: bytes, bits: int) -> bytes:
    """Return the PNG with a zlib header that declares a window of 2**bits bytes."""
    at = data.index(b"IDAT")
    size = int.from_bytes(data[at - 4 : at])
    method = (bits - 8) << 4 | 8
    check = 31 - (method << 8) % 31
    body = b"IDAT" + bytes([method, check]) + data[at + 6 : at + 4 + size]
    return data[:at] + body + struct.pack(">I", zlib.crc32(body)) + data[at + 8 + size :]


@pytest.mark.parametrize(("bits", "narrow"), [(8, True), (12, True), (13, False), (15, False)])
def test_png_header_zlib_window_smaller_than_image_sets_narrow_window(
    picture: Any, encode: Any, bits: int, narrow: bool
) -> None:
    # 32 rows of a filter byte and 48 RGB pixels are 4,640 bytes: 2**13 hold them.
    assert png.read_header(with_window(encode(picture, "PNG"), bits)).narrow_window is narrow


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
@pytest.mark.parametrize("seed", range(6))
def test_png_header_of_three_chunks_equals_that_of_the_general_reader(mode: str, seed: int) -> None:
    chance = random.Random(seed)
    image = Image.new(mode, (chance.randint(1, 40), chance.randint(1, 40)))
    content = io.BytesIO()
    image.save(content, "PNG", compress_level=chance.randint(0, 9))
    data = content.getvalue()
    assert (png.read_plain(data) is None) == (mode == "P")
    files = [data, data + b"x", data[:-1], data[:45], data[:33]]
    for _ in range(60):
        changed = bytearray(data)
        at = chance.randrange(8, len(data))
        changed[at] ^= 1 << chance.randrange(8)
        files.append(_with_checksums(bytes(changed)) if chance.random() < 0.5 else bytes(changed))
    for file in files:
        assert _outcome(png.read_header, file) == _outcome(png.read_general, file)


def _with_checksums(data: bytes) -> bytes:
    """Return a PNG of three chunks with the right checksums of the first two."""
    end = len(data) - 12
    header, pixels = data[12:29], data[37 : end - 4]
    checksums = [zlib.crc32(part).to_bytes(4) for part in (header, pixels)]
    return data[:12] + header + checksums[0] + data[33:37] + pixels + checksums[1] + data[end:]


def _outcome(read: Callable[[bytes], png.PngHeader], data: bytes) -> object:
    try:
        return read(data)
    except ImageRejectedError as error:
        return error.rejection
