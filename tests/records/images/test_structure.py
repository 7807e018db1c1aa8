"""Structure of JPEG and PNG files that are stored unchanged."""

from __future__ import annotations

import itertools
import random
import struct
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pytest
from PIL import Image

from records.images import (
    ImageOptions,
    NormalizedImage,
    Rejection,
    decode_record_image,
    normalize_image,
)
from tests.fuzz.image_mutations import Part, join_jpeg, join_png, split_jpeg, split_png
from tests.fuzz.images import check_image

if TYPE_CHECKING:
    from collections.abc import Callable

    Change = Callable[[list[Part]], list[Part]]

CHECKS: tuple[Literal["decode", "header"], ...] = ("decode", "header")


def insert_at(parts: list[Part], at: int, *new: Part) -> list[Part]:
    return [*parts[:at], *new, *parts[at:]]


def split_data(parts: list[Part], *between: Part) -> list[Part]:
    """Return the chunks with the image data in two chunks, and others between these."""
    at = next(number for number, part in enumerate(parts) if part.name == b"IDAT")
    first = replace(parts[at], payload=parts[at].payload[:-3])
    second = replace(parts[at], payload=parts[at].payload[-3:])
    return [*parts[:at], first, *between, second, *parts[at + 1 :]]


REGULAR_PNG: dict[str, Change] = {
    "texts and sizes": lambda parts: insert_at(
        parts, 1, Part(b"gAMA", struct.pack(">I", 45455)), Part(b"cHRM", bytes(32)),
        Part(b"pHYs", struct.pack(">IIB", 2835, 2835, 1)), Part(b"tIME", b"\x07\xe5\1\1\0\0\0"),
        Part(b"tEXt", b"Software\0a"), Part(b"tEXt", b"Software\0b"), Part(b"bKGD", bytes(6)),
        Part(b"iTXt", b"Title\0\0\0\0\0text"), Part(b"zTXt", b"Title\0\0" + zlib.compress(b"a")),
    ),
    "colour profile": lambda parts: insert_at(
        parts, 1, Part(b"iCCP", b"icc\0\0" + zlib.compress(b"profile"))
    ),
    "private chunks": lambda parts: insert_at(parts, 1, Part(b"vpAg", bytes(9)), Part(b"iDOT")),
    "suggested palette": lambda parts: insert_at(parts, 1, Part(b"PLTE", bytes(48))),
    "text after the data": lambda parts: insert_at(parts, -1, Part(b"tEXt", b"a\0b")),
    "two data chunks": split_data,
    "three data chunks": lambda parts: split_data(parts, Part(b"IDAT")),
}  # fmt: skip
IRREGULAR_PNG: dict[str, Change] = {
    "palette twice": lambda parts: insert_at(parts, 1, *[Part(b"PLTE", bytes(48))] * 2),
    "palette after the data": lambda parts: insert_at(parts, -1, Part(b"PLTE", bytes(48))),
    "gamma of five bytes": lambda parts: insert_at(parts, 1, Part(b"gAMA", bytes(5))),
    "gamma after the data": lambda parts: insert_at(parts, -1, Part(b"gAMA", bytes(4))),
    "two sizes": lambda parts: insert_at(parts, 1, *[Part(b"pHYs", bytes(9))] * 2),
    "text between the data": lambda parts: split_data(parts, Part(b"tEXt", b"a\0b")),
    "empty data first": lambda parts: insert_at(parts, 1, Part(b"IDAT")),
    "end with a payload": lambda parts: [*parts[:-1], Part(b"IEND", b"a")],
    "chunk too long for libpng": lambda parts: insert_at(parts, 1, Part(b"raWd", bytes(8_000_001))),
    "palette of no bytes": lambda parts: insert_at(parts, 1, Part(b"PLTE")),
    "palette of half a colour": lambda parts: insert_at(parts, 1, Part(b"PLTE", bytes(4))),
    "palette of 257 colours": lambda parts: insert_at(parts, 1, Part(b"PLTE", bytes(771))),
}


def check_pixels(data: bytes, original: bytes, change: str) -> None:
    """Check that a file is stored with the pixels of the original, and with this change."""
    expected = normalize_image(original, ImageOptions())
    assert isinstance(expected, NormalizedImage)
    for check in CHECKS:
        stored = normalize_image(data, ImageOptions(check=check))
        assert isinstance(stored, NormalizedImage)
        assert stored.changes == (change,)
        size = (stored.width, stored.height, stored.channels)
        np.testing.assert_array_equal(
            decode_record_image(stored.encoded, stored.format, *size),
            decode_record_image(expected.encoded, expected.format, *size),
        )
    assert check_image(data)


def check_unchanged(data: bytes) -> None:
    """Check that a file is stored byte for byte, and that TensorFlow decodes it."""
    for check in CHECKS:
        stored = normalize_image(data, ImageOptions(check=check))
        assert isinstance(stored, NormalizedImage)
        assert (stored.encoded, stored.changes) == (data, ())
    assert check_image(data)


@pytest.mark.parametrize("name", REGULAR_PNG)
def test_normalize_image_png_of_specified_chunks_is_stored_unchanged(
    picture: Any, encode: Any, name: str
) -> None:
    check_unchanged(join_png(REGULAR_PNG[name](split_png(encode(picture, "PNG")))))


@pytest.mark.parametrize("name", IRREGULAR_PNG)
def test_normalize_image_png_of_irregular_chunks_is_reencoded(
    picture: Any, encode: Any, name: str
) -> None:
    original = encode(picture, "PNG")
    data = join_png(IRREGULAR_PNG[name](split_png(original)))
    if name == "empty data first":
        stored = normalize_image(data, ImageOptions())
        assert isinstance(stored, NormalizedImage)
        assert stored.changes == ("wider-window", "irregular-chunks")
        return
    check_pixels(data, original, "irregular-chunks")


def test_normalize_image_png_any_chunk_name_is_regular_or_reencoded(
    picture: Any, encode: Any
) -> None:
    chance, original = random.Random(0), split_png(encode(picture, "PNG"))
    for _ in range(80):
        name = bytes([chance.randrange(97, 123), *chance.choices(b"aZ1_ \0\x80mM", k=3)])
        is_regular = name.isalpha() and name[2:3].isupper()
        for at in (1, -1):
            stored = normalize_image(
                join_png(insert_at(original, at, Part(name, b"x"))), ImageOptions()
            )
            if isinstance(stored, Rejection):  # Pillow refuses some names
                assert not is_regular
            else:
                assert stored.changes == (() if is_regular else ("irregular-chunks",)), name


def test_decode_record_image_irregular_chunks_are_an_error(picture: Any, encode: Any) -> None:
    data = join_png(insert_at(split_png(encode(picture, "PNG")), 1, Part(b"p123")))
    with pytest.raises(Exception, match="irregular-chunks: TensorFlow may refuse it"):
        decode_record_image(data, "png", 48, 32, 3)


def change_part(name: bytes, change: Callable[[bytearray], object]) -> Change:
    """Return a change of the payload of the first segment with this marker."""

    def apply(parts: list[Part]) -> list[Part]:
        at = next(number for number, part in enumerate(parts) if part.name == name)
        payload = bytearray(parts[at].payload)
        change(payload)
        return [*parts[:at], replace(parts[at], payload=bytes(payload)), *parts[at + 1 :]]

    return apply


def setting(at: int, value: int) -> Callable[[bytearray], object]:
    return lambda payload: payload.__setitem__(at, value)


JPEG_OPTIONS: list[dict[str, Any]] = [
    {"exif": b"Exif\0\0" + bytes(40)}, {"icc_profile": b"profile" * 20_000}, {"comment": b"a" * 9},
    {"progressive": True}, {"optimize": True}, {"keep_rgb": True}, {"subsampling": 0},
    {"subsampling": 1}, {"subsampling": 2}, {"restart_marker_blocks": 1},
    {"restart_marker_rows": 1, "progressive": True},
]  # fmt: skip
REGULAR_JPEG: dict[str, Change] = {
    "application data of odd lengths": lambda parts: insert_at(
        parts, 1, *[Part(bytes([0xE2 + n]), bytes(n)) for n in range(12)], Part(b"\xfe", b"abc")
    ),
    "fill bytes": lambda parts: [replace(part, tail=part.tail + b"\xff") for part in parts],
    "bytes between segments": lambda parts: [replace(parts[0], tail=b"junk"), *parts[1:]],
}
IRREGULAR_JPEG: dict[str, Change] = {
    "end of the spectrum": change_part(b"\xda", setting(-2, 62)),
    "begin of the spectrum": change_part(b"\xda", setting(-3, 1)),
    "approximation": change_part(b"\xda", setting(-1, 0x11)),
    "restart marker without interval": lambda parts: [
        *parts[:-1], replace(parts[-1], tail=parts[-1].tail + b"\xff\xd0")
    ],
    "marker without payload": lambda parts: [replace(parts[0], tail=b"\xff\x01"), *parts[1:]],
    "lines after the scan": lambda parts: [*parts, Part(b"\xdc", b"\0\x20")],
    "arithmetic conditioning": lambda parts: insert_at(parts, 1, Part(b"\xcc", b"\0\x10")),
}  # fmt: skip


@pytest.mark.parametrize("options", JPEG_OPTIONS, ids=map(repr, range(len(JPEG_OPTIONS))))
def test_normalize_image_jpeg_of_any_encoder_option_is_stored_unchanged(
    picture: Image.Image, encode: Any, options: dict[str, Any]
) -> None:
    for image in (picture, picture.convert("L")):
        check_unchanged(encode(image, "JPEG", **options) + b"trailing bytes")


@pytest.mark.parametrize("name", REGULAR_JPEG)
def test_normalize_image_jpeg_of_plain_structure_is_stored_unchanged(
    picture: Any, encode: Any, name: str
) -> None:
    check_unchanged(join_jpeg(REGULAR_JPEG[name](split_jpeg(encode(picture, "JPEG")))))


@pytest.mark.parametrize("name", IRREGULAR_JPEG)
def test_normalize_image_jpeg_of_irregular_markers_is_reencoded_or_rejected(
    picture: Any, encode: Any, name: str
) -> None:
    data = join_jpeg(IRREGULAR_JPEG[name](split_jpeg(encode(picture, "JPEG"))))
    for check in CHECKS:
        stored = normalize_image(data, ImageOptions(check=check))
        assert isinstance(stored, Rejection) or stored.changes == ("irregular-markers",)
    check_image(data)


def test_normalize_image_jpeg_any_sampling_factors_decode_in_tensorflow_or_are_rejected(
    picture: Any, encode: Any
) -> None:
    original = split_jpeg(encode(picture, "JPEG", subsampling=0))
    factors = [across << 4 | down for across, down in itertools.product(range(1, 5), repeat=2)]
    chance, stored = random.Random(0), 0
    pairs = [(luma, 0x11, 0x11) for luma in factors]
    for luma, blue, red in [*pairs, *(chance.choices(factors, k=3) for _ in range(120))]:

        def set_factors(payload: bytearray, found: tuple[int, ...] = (luma, blue, red)) -> None:
            payload[7::3] = bytes(found)

        stored += check_image(join_jpeg(change_part(b"\xc0", set_factors)(original)))
    assert stored >= 8
