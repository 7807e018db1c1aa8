"""TIFF files: which page is the picture, and its samples."""

from __future__ import annotations

import itertools
import time
from typing import Any

import numpy as np
import pytest

from records.images import ImageOptions, NormalizedImage, Rejection, decode_pixels, normalize_image
from tests.records.images import tiff_files as t

PLAIN = ImageOptions()
SIZE = (19, 21)
GREY, RGB, PALETTE, CMYK, YCBCR = 1, 2, 3, 5, 6
LAYOUTS = [
    {"planar": planar, "tiled": tiled, "deflated": deflated}
    for planar, tiled, deflated in itertools.product((False, True), repeat=3)
]
ORDERS = "<>"
CAMERA_RAW = "camera raw"


def noise(bits: int, channels: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(bits * channels).integers(0, 1 << bits, (*SIZE, channels))


def solid(size_px: int, level: int, **tags: Any) -> t.Page:
    """Return a square RGB page of one colour."""
    page = t.picture_page(np.full((size_px, size_px, 3), level), 8, RGB)
    return {**page, **{getattr(t, name): value for name, value in tags.items()}}


def reject(data: bytes) -> Rejection:
    found = normalize_image(data, PLAIN)
    assert isinstance(found, Rejection), found
    return found


def level_of(data: bytes) -> int:
    """Return the level of the page that is stored."""
    pixels = decode_pixels(data, PLAIN)
    assert (pixels == pixels[0, 0, 0]).all()
    return int(pixels[0, 0, 0])


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("bits", [1, 2, 4, 8, 12, 16])
@pytest.mark.parametrize("white_is_zero", [False, True])
def test_decode_pixels_grey_tiff_is_never_a_negative(
    order: str, bits: int, white_is_zero: bool
) -> None:
    samples = noise(bits, 1)
    grey = samples * 255 // ((1 << bits) - 1) if bits < 8 else samples >> (bits - 8)
    expected = 255 - grey if white_is_zero else grey
    for layout in LAYOUTS:
        data = t.tiff(
            [t.picture_page(samples, bits, int(not white_is_zero), order, **layout)], order
        )
        if bits == 12 and order == ">":
            assert reject(data).reason == "unsupported"
            continue
        np.testing.assert_array_equal(decode_pixels(data, PLAIN), expected, err_msg=str(layout))


@pytest.mark.parametrize("white_is_zero", [False, True])
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_decode_pixels_grey_tiff_with_low_bit_first_equals_high_bit_first(
    bits: int, white_is_zero: bool
) -> None:
    page = t.picture_page(noise(bits, 1), bits, int(not white_is_zero))
    expected = decode_pixels(t.tiff([page]), PLAIN)
    turned = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
    page |= {t.FILL_ORDER: 2, "blocks": [block.translate(turned) for block in page["blocks"]]}
    np.testing.assert_array_equal(decode_pixels(t.tiff([page]), PLAIN), expected)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("extra", [None, 0, 1, 2])
def test_decode_pixels_rgb_tiff_has_the_same_pixels_in_every_layout(
    order: str, bits: int, extra: int | None
) -> None:
    samples = noise(bits, 3 if extra is None else 4)
    top = (1 << bits) - 1
    alpha = samples[:, :, 3:] / top if extra else 1.0
    if extra == 1:
        samples[:, :, :3] = samples[:, :, :3] * alpha
    colours = samples[:, :, :3] / top * 255
    expected = colours * (1 if extra == 1 else alpha) + 255 * (1 - alpha)
    for layout in LAYOUTS:
        page = t.picture_page(samples, bits, RGB, order, **layout)
        if extra is not None:
            page[t.EXTRA] = extra
        pixels = decode_pixels(t.tiff([page], order), PLAIN)
        # 16-bit samples and alpha are shifted before they are blended.
        np.testing.assert_allclose(pixels, expected, atol=3, err_msg=str(layout))


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("bits", [8, 16])
def test_decode_pixels_cmyk_tiff_has_the_same_pixels_in_every_layout(order: str, bits: int) -> None:
    samples = noise(bits, 4)
    ink = 1 - (samples >> (bits - 8)) / 255
    for layout in LAYOUTS:
        data = t.tiff([t.picture_page(samples, bits, CMYK, order, **layout)], order)
        expected = ink[:, :, :3] * ink[:, :, 3:] * 255
        np.testing.assert_allclose(decode_pixels(data, PLAIN), expected, atol=1)


@pytest.mark.parametrize("order", ORDERS)
def test_decode_pixels_ycbcr_tiff_is_converted_in_every_layout(order: str) -> None:
    rows, columns = np.mgrid[0:19, 0:21]
    samples = np.stack([60 + 5 * rows, 118 + columns, 120 + rows], axis=2)
    red, blue = samples[:, :, 2] - 128, samples[:, :, 1] - 128
    luma = samples[:, :, 0]
    green = luma - 0.344136 * blue - 0.714136 * red
    expected = np.stack([luma + 1.402 * red, green, luma + 1.772 * blue], axis=2)
    for layout in LAYOUTS:
        page = {**t.picture_page(samples, 8, YCBCR, order, **layout), t.SUBSAMPLING: [1, 1]}
        pixels = decode_pixels(t.tiff([page], order), PLAIN)
        np.testing.assert_allclose(pixels, expected, atol=1, err_msg=str(layout))


@pytest.mark.parametrize("scale", [1, 256, 257])
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_decode_pixels_palette_tiff_takes_maps_of_8_and_16_bits(bits: int, scale: int) -> None:
    samples = noise(bits, 1)
    colours = np.random.default_rng(bits).integers(0, 256, (3, 1 << bits))
    for order in ORDERS:
        page = t.picture_page(samples, bits, PALETTE, order)
        page[t.COLOUR_MAP] = (colours * scale).ravel().tolist()
        pixels = decode_pixels(t.tiff([page], order), PLAIN)
        np.testing.assert_array_equal(pixels, colours.T[samples[:, :, 0]])


@pytest.mark.parametrize(
    "page",
    [
        {**t.picture_page(noise(8, 1), 8, GREY), t.SAMPLE_FORMAT: 2},
        {**t.picture_page(noise(8, 3), 8, RGB), t.SAMPLE_FORMAT: [2, 2, 2]},
        {**t.picture_page(noise(8, 4), 8, CMYK), t.INK_SET: 2},
        t.picture_page(noise(8, 4), 8, RGB, planar=True),
        {**t.picture_page(noise(8, 5), 8, RGB, planar=True), t.EXTRA: [2, 0]},
        {**t.picture_page(noise(8, 3), 8, YCBCR, planar=True), t.SUBSAMPLING: [2, 2]},
        t.picture_page(noise(8, 3), 8, 9),
        t.picture_page(noise(8, 1), 8, 4),
    ],
    ids=["int8", "int8-rgb", "inks", "rgb+1", "rgba+1", "ycbcr-planes", "icclab", "mask"],
)
def test_normalize_image_tiff_without_8_bit_meaning_is_unsupported(page: t.Page) -> None:
    assert reject(t.tiff([page])).reason == "unsupported"


@pytest.mark.parametrize(("order", "big"), [("<", False), (">", False), ("<", True)])
def test_decode_pixels_tiff_with_previews_first_is_the_first_picture(order: str, big: bool) -> None:
    def make(*pages: t.Page) -> bytes:
        return t.tiff(list(pages), order, big=big)

    first, second = solid(30, 100), solid(40, 200)
    assert level_of(make(first, second)) == 100
    for preview in ({"SUBFILE": 1}, {"OLD_SUBFILE": 2}, {"SUBFILE": 4}, {"SUBFILE": 65537}):
        assert level_of(make(solid(8, 5, **preview), first, second)) == 100
        assert level_of(make(first, solid(8, 5, **preview))) == 100
    mask = t.picture_page(np.zeros((30, 30, 1), int), 1, 4)
    data = make({**mask, t.SUBFILE: 4}, solid(8, 5, SUBFILE=1), first)
    assert level_of(data) == 100
    stored = normalize_image(data, PLAIN)
    assert isinstance(stored, NormalizedImage)
    assert stored.changes == ("first-frame", "tiff→png")
    # The pages of a document, and smaller versions of a picture in its child directories.
    assert level_of(make(solid(30, 100, SUBFILE=2), solid(30, 7, SUBFILE=2))) == 100
    assert level_of(make({**first, "children": [solid(15, 3), solid(7, 3)]})) == 100
    assert level_of(make(solid(8, 5, SUBFILE=1))) == 5


def test_normalize_image_tiff_cut_in_its_second_page_is_truncated() -> None:
    for layout in LAYOUTS[1:]:
        page = t.picture_page(noise(8, 3), 8, RGB, "<", **layout)
        data = t.tiff([solid(8, 5, SUBFILE=1), page])
        last = page["tiles" if layout["tiled"] else "blocks"][-1]
        at, end = (data.rindex(last) + shift for shift in (0, len(data)))
        data = data.replace(at.to_bytes(4, "little"), end.to_bytes(4, "little"))
        assert reject(data).reason == "truncated", layout


def test_normalize_image_tiff_big_endian_with_long_offsets_is_unsupported() -> None:
    assert reject(t.tiff([solid(8, 5)], ">", big=True)).reason == "unsupported"


def raw_pages() -> dict[str, list[t.Page]]:
    sensor = {**t.picture_page(noise(16, 1), 16, 32803), t.WIDTH: 4000, t.HEIGHT: 3000}
    linear = {**t.picture_page(noise(16, 3), 16, 34892), t.WIDTH: 4000, t.HEIGHT: 3000}
    rendered = solid(400, 9)
    make = {"MAKE": b"NIKON CORPORATION\0"}
    return {
        "nef": [{**solid(160, 9, SUBFILE=1, **make), "children": [rendered, sensor]}],
        "nef-flag": [solid(160, 9, SUBFILE=1, **make)],
        "arw": [solid(160, 9, SUBFILE=1, **make), solid(80, 9, SUBFILE=1)],
        "dng": [{**solid(160, 9, SUBFILE=1, DNG_VERSION=[1, 4, 0, 0]), "children": [sensor]}],
        "dng-linear": [{**solid(160, 9, SUBFILE=1), "children": [linear]}],
        "dng-version": [solid(160, 9, DNG_VERSION=[1, 4, 0, 0])],
        "pef": [sensor | {t.MAKE: b"PENTAX\0"}, solid(160, 9, SUBFILE=1)],
        "chain": [solid(160, 9), sensor],
        "no-flag": [{**solid(160, 9, **make), "children": [rendered]}],
    }


@pytest.mark.parametrize("name", raw_pages())
@pytest.mark.parametrize(("order", "big"), [("<", False), (">", False), ("<", True)])
def test_normalize_image_camera_raw_is_unsupported(name: str, order: str, big: bool) -> None:
    found = reject(t.tiff(raw_pages()[name], order, big=big))
    assert found.reason == "unsupported"
    assert CAMERA_RAW in found.detail


@pytest.mark.parametrize(
    "head",
    [
        b"II*\0\x10\0\0\0CR\2\0",
        b"II*\0\x08\0\0\0IIII",
        b"MM\0*\0\0\0\x08MMMM",
        b"II\x1a\0\0\0HEAPCCDR",
        b"\0MRM\0\0\0\0",
        b"FUJIFILMCCD-RAW 0201",
        b"IIRO\x08\0\0\0",
        b"IIRS\x08\0\0\0",
        b"IIU\0\x08\0\0\0",
        b"FOVb\0\0\3\0",
        b"\0\0\0\x18ftypcrx \0\0\0\1crx isom",
    ],
)
def test_normalize_image_camera_raw_magic_is_unsupported(head: bytes) -> None:
    found = reject(head + bytes(200))
    assert (found.reason, CAMERA_RAW in found.detail) == ("unsupported", True)


def test_normalize_image_tiff_of_previews_alone_is_unsupported() -> None:
    found = reject(t.tiff([solid(16, 5, SUBFILE=1), solid(8, 5, SUBFILE=1)]))
    assert (found.reason, "previews" in found.detail) == ("unsupported", True)
    found = reject(t.tiff([{**solid(16, 5), "children": [solid(64, 5)]}]))
    assert (found.reason, "previews" in found.detail) == ("unsupported", True)


def test_normalize_image_tiff_directories_in_a_circle_or_without_end_take_bounded_time() -> None:
    data = t.tiff([solid(8, 5, SUBFILE=1)] * 500)
    circle = bytearray(t.tiff([solid(8, 5)] * 2))
    circle[-4:] = circle[4:8]
    entries = t.tiff([{**solid(8, 5), t.CHILDREN: list(range(8, 60_000, 2))}])
    started = time.process_time()
    assert reject(data).reason == "unsupported"
    assert level_of(bytes(circle)) == 5
    normalize_image(entries, PLAIN)
    assert time.process_time() - started < 10
