"""Resizing, cropping, padding, and conversion in strips."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from records.images import pixels

WHITE = (255, 255, 255)
RED = (255, 0, 0)


def test_resize_stretch_equals_pillow_bilinear(picture: Image.Image) -> None:
    resized, changes = pixels.resize(picture, (20, 10), "stretch", WHITE)
    expected = picture.resize((20, 10), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(np.asarray(resized), np.asarray(expected))
    assert changes == ["resized"]


def test_resize_crop_keeps_the_centre() -> None:
    stripes = Image.new("RGB", (90, 30), RED)
    stripes.paste((0, 0, 255), (30, 0, 60, 30))
    resized, _ = pixels.resize(stripes, (30, 30), "crop", WHITE)
    assert resized.size == (30, 30)
    assert (np.asarray(resized) == (0, 0, 255)).all()


@pytest.mark.parametrize(
    ("size", "target", "inside"),
    [
        ((90, 30), (30, 30), (slice(10, 20), slice(0, 30))),
        ((30, 90), (30, 30), (slice(0, 30), slice(10, 20))),
        ((10, 10), (40, 20), (slice(0, 20), slice(10, 30))),
    ],
)
def test_resize_pad_fills_margins_with_background(size: Any, target: Any, inside: Any) -> None:
    resized, _ = pixels.resize(Image.new("RGB", size, (0, 0, 255)), target, "pad", RED)
    assert resized.size == target
    samples = np.asarray(resized)
    assert (samples[inside] == (0, 0, 255)).all()
    assert (samples == RED).all(axis=2).sum() == target[0] * target[1] - samples[inside][
        ..., 0
    ].size


def test_resize_pad_grey_image_with_colour_becomes_rgb() -> None:
    grey = Image.new("L", (10, 20), 7)
    assert pixels.resize(grey, (20, 20), "pad", RED)[0].mode == "RGB"
    assert pixels.resize(grey, (20, 20), "pad", WHITE)[0].mode == "L"
    assert pixels.resize(grey, (5, 10), "pad", RED)[0].mode == "L"


@pytest.mark.parametrize("fit", ["stretch", "crop", "pad"])
@pytest.mark.parametrize("size", [(1, 5000), (5000, 1), (3, 3), (1, 1)])
def test_resize_extreme_shape_gives_requested_size(fit: str, size: tuple[int, int]) -> None:
    resized, _ = pixels.resize(Image.new("RGB", size, RED), (64, 48), fit, RED)
    assert resized.size == (64, 48)
    assert (np.asarray(resized) == RED).all()


def test_resize_long_image_limits_intermediate_size(monkeypatch: pytest.MonkeyPatch) -> None:
    image = Image.new("L", (2, 20_000), 9)
    sizes: list[tuple[int, int]] = []
    original = Image.Image.resize

    def note(self: Image.Image, size: Any, *arguments: Any) -> Image.Image:
        sizes.append((size[0], self.height))
        return original(self, size, *arguments)

    monkeypatch.setattr(Image.Image, "resize", note)
    pixels.resize(image, (500, 500), "stretch", WHITE)
    assert max(width * height for width, height in sizes) <= 500 * 500


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "I;16", "key"])
def test_flatten_in_strips_equals_flatten_of_whole_image(
    monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    random = np.random.default_rng(1)
    if mode == "I;16":
        image = Image.fromarray(random.integers(0, 65536, (37, 23)).astype("<u2"))
    else:
        image = Image.fromarray(random.integers(0, 256, (37, 23, 4)).astype(np.uint8))
        image = image.quantize(8) if mode == "P" else image.convert(mode.replace("key", "RGB"))
    if mode in {"P", "key"}:
        image.info["transparency"] = 3 if mode == "P" else image.getpixel((0, 0))
    bits = 16 if mode == "I;16" else 8
    whole, _ = pixels.flatten(image, RED, bits)
    monkeypatch.setattr(pixels, "STRIP_PX", 23 * 5)
    strips, _ = pixels.flatten(image, RED, bits)
    np.testing.assert_array_equal(np.asarray(strips), np.asarray(whole))
