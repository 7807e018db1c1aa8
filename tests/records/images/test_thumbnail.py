"""Thumbnails, compared with the resized full image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from records.errors import CorruptDataError
from records.images.thumbnail import decode_thumbnail

if TYPE_CHECKING:
    from collections.abc import Callable

SIZE = (640, 480)


@pytest.fixture(scope="module")
def photo(picture: Image.Image) -> Image.Image:
    return picture.resize(SIZE, Image.Resampling.BICUBIC)


def expected(image: Image.Image) -> np.ndarray:
    small = image.resize((32, 32), Image.Resampling.BILINEAR).convert("L")
    return np.asarray(small).astype(int)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("options", [{}, {"progressive": True}])
def test_decode_thumbnail_is_close_to_resized_full_image(
    photo: Image.Image, encode: Callable[..., bytes], kind: str, mode: str, options: dict[str, bool]
) -> None:
    image = photo.convert(mode)
    encoded = encode(image, kind, **(options if kind == "JPEG" else {}))
    square = decode_thumbnail(encoded, kind.lower(), *SIZE, len(mode), side_px=32)
    assert square.dtype == np.uint8
    assert square.shape == (32, 32)
    assert np.abs(square - expected(image)).max() <= 4


def test_decode_thumbnail_raw_image_equals_resized_full_image(photo: Image.Image) -> None:
    square = decode_thumbnail(photo.tobytes(), "raw", *SIZE, 3, side_px=32)
    assert np.array_equal(square, expected(photo))


def test_decode_thumbnail_smaller_image_is_enlarged(encode: Callable[..., bytes]) -> None:
    encoded = encode(Image.new("L", (3, 1), 77), "JPEG")
    square = decode_thumbnail(encoded, "jpeg", 3, 1, 1, side_px=32)
    assert np.unique(square).tolist() == [77]


@pytest.mark.parametrize("kind", ["jpeg", "png"])
def test_decode_thumbnail_undecodable_image_raises_corrupt_data(
    photo: Image.Image, encode: Callable[..., bytes], kind: str
) -> None:
    encoded = encode(photo, kind)
    for damaged in (encoded[: len(encoded) // 2], b"", b"nothing of the kind"):
        with pytest.raises(CorruptDataError):
            decode_thumbnail(damaged, kind, *SIZE, 3, side_px=32)


def test_decode_thumbnail_size_mismatch_raises_corrupt_data(
    photo: Image.Image, encode: Callable[..., bytes]
) -> None:
    with pytest.raises(CorruptDataError, match="expected 480x640, got 640x480"):
        decode_thumbnail(encode(photo, "JPEG"), "jpeg", 480, 640, 3, side_px=32)
