"""Tests of JPEG decoding at a fraction of the size before a resize."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, Literal

import msgspec
import numpy as np
import pytest
from PIL import Image

from records.images import ImageOptions, Rejection, decode_pixels, normalize_image
from records.images.decode import decode_plain_jpeg, reserve_memory
from records.images.header import ImageHeader, read_header
from records.images.memory_budget import PROCESS_BUDGET
from records.images.pixels import choose_jpeg_scale

SIZE = (20, 16)
WHOLE = ImageOptions(resize=SIZE)
SCALED = ImageOptions(resize=SIZE, scaled_decode=True)
FITS: tuple[Literal["stretch", "crop", "pad"], ...] = ("stretch", "crop", "pad")
KINDS: list[dict[str, Any]] = [
    {"mode": mode, "progressive": progressive, "subsampling": subsampling, **more}
    for number, mode in enumerate(("RGB", "L", "CMYK"))
    for progressive in (False, True)
    for subsampling in ((0, 1, 2) if mode == "RGB" else (0,))
    for more in ({}, {"restart_marker_blocks": 5}, {"orientation": 2 + number})
]


def write_jpeg(
    width: int, height: int, *, mode: str = "RGB", orientation: int = 1, seed: int = 0, **how: Any
) -> bytes:
    """Write a JPEG of smooth waves with some noise: its pixels differ everywhere."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    waves = [np.sin(2.1 * x + number) + np.cos(3.3 * y - number) for number in range(3)]
    samples = 128 + 60 * np.stack(waves, axis=-1) + random.normal(0, 3, (height, width, 3))
    image = Image.fromarray(samples.clip(0, 255).astype(np.uint8)).convert(mode)
    if orientation > 1:
        exif = Image.Exif()
        exif[0x112] = orientation
        how["exif"] = exif
    content = io.BytesIO()
    image.save(content, "JPEG", quality=95, **how)
    return content.getvalue()


@pytest.mark.parametrize("fit", FITS)
def test_jpeg_scale_is_largest_that_leaves_twice_the_picture(fit: str) -> None:
    random = np.random.default_rng(0)
    sources, sizes = random.integers(1, 4000, (500, 2)), random.integers(1, 500, (500, 2))
    for (width, height), size in zip(sources.tolist(), sizes.tolist(), strict=True):
        picture = np.array(size)
        if fit == "pad":
            shrink = min(size[0] / width, size[1] / height)
            picture = np.maximum(1, np.round(np.array([width, height]) * shrink))
        enough = [by for by in (2, 4, 8) if (np.array([width, height]) / by >= 2 * picture).all()]
        assert choose_jpeg_scale((width, height), tuple(size), fit) == max([1, *enough])


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_scaled_decode_has_the_picture_at_the_same_place(
    fit: Literal["stretch", "crop", "pad"], orientation: int
) -> None:
    # No side is a multiple of 8, so each scale leaves a part of a pixel at the end of each side.
    for width, height in ((331, 203), (169, 453), (95, 99)):
        data = write_jpeg(width, height, orientation=orientation)
        options = ImageOptions(resize=SIZE, fit=fit)
        whole = decode_pixels(data, options).astype(float)
        scaled = decode_pixels(data, msgspec.structs.replace(options, scaled_decode=True))
        assert scaled.shape == whole.shape
        assert 0 < np.abs(scaled - whole).max() <= 5
        # A picture that is moved by a quarter of a pixel of the result differs by more.
        assert abs((scaled - whole).mean()) < 0.25
        assert np.abs(scaled - whole).mean() < 0.7


@pytest.mark.parametrize("how", KINDS, ids=str)
def test_scaled_decode_of_each_kind_is_close_to_whole_decode(how: dict[str, Any]) -> None:
    data = write_jpeg(331, 257, **how)
    whole, scaled = (normalize_image(data, options) for options in (WHOLE, SCALED))
    assert not isinstance(whole, Rejection)
    assert not isinstance(scaled, Rejection)
    assert (whole.changes, whole.channels) == (scaled.changes, scaled.channels)
    pixels = [decode_pixels(data, options).astype(int) for options in (WHOLE, SCALED)]
    assert 0 < np.abs(pixels[0] - pixels[1]).mean() < 1


def mutate(data: bytes, random: np.random.Generator) -> bytes:
    """Cut a file short, with or without an end marker, remove bytes, or flip bits."""
    kind, at = random.integers(0, 5), int(random.integers(2, len(data)))
    if kind < 2:
        return data[:at] + b"\xff\xd9" * int(kind)
    if kind == 2:
        return data[:at] + data[at + int(random.integers(1, 40)) :]
    changed = bytearray(data)
    end = len(data) if kind == 3 else 700  # the headers are at the start
    for bit in random.integers(0, 8 * min(end, len(data)), 2):
        changed[bit // 8] ^= 1 << (bit % 8)
    return bytes(changed)


def test_scaled_decode_rejects_the_same_damaged_files() -> None:
    random = np.random.default_rng(7)
    rejected = 0
    for number, how in enumerate(KINDS):
        data = write_jpeg(171, 139, seed=number, **how)
        for _ in range(12):
            damaged = mutate(data, random)
            whole, scaled = (normalize_image(damaged, options) for options in (WHOLE, SCALED))
            assert isinstance(whole, Rejection) == isinstance(scaled, Rejection)
            if isinstance(whole, Rejection):
                assert whole == scaled
                rejected += 1
    assert rejected > len(KINDS)


def test_scaled_decode_of_a_png_changes_nothing() -> None:
    content = io.BytesIO()
    Image.open(io.BytesIO(write_jpeg(300, 200))).save(content, "PNG")
    assert normalize_image(content.getvalue(), WHOLE) == normalize_image(content.getvalue(), SCALED)


@pytest.mark.parametrize("progressive", [False, True])
def test_scaled_decode_reserves_only_the_memory_of_the_small_image(
    monkeypatch: pytest.MonkeyPatch, *, progressive: bool
) -> None:
    data = write_jpeg(1600, 1200, progressive=progressive, subsampling=0)
    header = read_header(data, 10**8)
    costs: list[int] = []
    monkeypatch.setattr(PROCESS_BUDGET, "acquire", lambda cost, _pixels: costs.append(cost))
    for options in (WHOLE, SCALED):
        reserve_memory(header, data, options, reencode=True)
    assert costs[0] == 12 * 1600 * 1200 + len(data)
    coefficients = 6 * 1600 * 1200 if progressive else 0
    assert costs[1] == 12 * 200 * 150 + coefficients + len(data)


@pytest.mark.parametrize("how", KINDS, ids=str)
@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("size", [(1, 1), (7, 9), (64, 31), (171, 139)], ids=str)
def test_plain_jpeg_is_decoded_as_pillow_opens_it(
    how: dict[str, Any], size: tuple[int, int]
) -> None:
    data = write_jpeg(*size, **how)
    random = np.random.default_rng(5)
    plain = 0
    for content in [data, *(mutate(data, random) for _ in range(8))]:
        try:
            header = read_header(content, 10**8)
        except Exception:
            continue  # not decoded
        if header.passthrough:
            plain += 1
            for scale in (1, 2, 4, 8):
                assert _decoded(decode_plain_jpeg, header, content, scale) == _decoded(
                    _open_and_draft, header, content, scale
                )
    assert plain > 0 or how["mode"] == "CMYK" or "orientation" in how


def _open_and_draft(header: ImageHeader, data: bytes, mode: str, scale: int) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    if scale > 1:
        image.draft(mode, (max(1, header.width // scale), max(1, header.height // scale)))
    image.load()
    return image


def _decoded(
    decode: Callable[[ImageHeader, bytes, str, int], Image.Image],
    header: ImageHeader,
    data: bytes,
    scale: int,
) -> object:
    """Return what a decoder makes of a file: its pixels, or nothing."""
    try:
        image = decode(header, data, "RGB" if header.channels == 3 else "L", scale)
    except (OSError, ValueError):
        return None
    # Pillow chooses a smaller scale than asked for if a side has fewer pixels.
    if min(header.width, header.height) < scale:
        return None
    return image.mode, image.size, image.tobytes()
