"""The decoder and its crops give the pixels that Pillow decodes, resized; bit for bit."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from records.images import ImageOptions
from trainers.config import ImageShape
from trainers.input.decode import decode_crops, decode_images
from trainers.input.random_crop import sample_crop_box

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

RANDOM = np.random.default_rng(5)
SHAPE = ImageShape(24, 32)
LEAST_AREA = 0.1


def seed_pairs(count: int, epoch: int = 0) -> tf.Tensor:
    return tf.constant([[epoch << 32, number] for number in range(count)], tf.int64)


def write_noise(kind: str, channels: int, size: tuple[int, int] | None = None, **how: Any) -> bytes:
    """An image of noise of any size: no two pixels alike, so nothing wrong goes unseen."""
    height, width = size or RANDOM.integers(1, 120, 2)
    pixels = RANDOM.integers(0, 256, (height, width, channels), dtype=np.uint8)
    if kind == "RAW":
        return pixels.tobytes()
    content = io.BytesIO()
    Image.fromarray(pixels.squeeze(-1) if channels == 1 else pixels).save(content, kind, **how)
    return content.getvalue()


def decode_whole(encoded: bytes, channels: int, ratio: int) -> NDArray[np.uint8]:
    """Decode a PNG by TensorFlow, or a JPEG at 1/`ratio` of its size by Pillow."""
    image = Image.open(io.BytesIO(encoded))
    if image.format == "PNG":
        pixels: NDArray[np.uint8] = tf.io.decode_png(encoded, channels=channels).numpy()
        return pixels
    mode = "RGB" if channels == 3 else "L"
    image.draft("L" if channels == 1 else None, (image.width // ratio, image.height // ratio))
    pixels = np.asarray(image.convert(mode))
    return pixels.reshape(*pixels.shape[:2], channels)


def resize(pixels: NDArray[np.uint8], shape: ImageShape, *, antialias: bool) -> NDArray[np.uint8]:
    size = (shape.height_px, shape.width_px)
    resized = tf.image.resize(pixels, size, method="bilinear", antialias=antialias)
    rounded: NDArray[np.uint8] = tf.cast(tf.round(resized), tf.uint8).numpy()
    return rounded


def expected_pixels(
    encoded: bytes, shape: ImageShape, decoder: int, seed: tf.Tensor | None = None
) -> NDArray[np.uint8]:
    """Decode an image whole, cut the crop of a seed out of it, and resize it."""
    height, width = Image.open(io.BytesIO(encoded)).size[::-1]
    window = np.array([0, 0, height, width])
    if seed is not None:
        window = sample_crop_box(tf.constant([height, width]), LEAST_AREA, seed).numpy()
    larger = int(min(window[2:] // (shape.height_px, shape.width_px)))
    is_large = decoder > 1 and larger >= 2
    ratio = max(by for by in (1, 2, 4, 8) if by <= max(larger, 1)) if is_large else 1
    ratio = 1 if encoded.startswith(b"\x89PNG") else ratio
    pixels = decode_whole(encoded, shape.channels, ratio)
    if seed is not None:
        top, left, height, width = window // ratio
        pixels = pixels[top : top + height, left : left + width]
    return resize(pixels, shape, antialias=is_large)


def check_crops(encoded: Sequence[bytes], shape: ImageShape) -> None:
    seeds = seed_pairs(len(encoded))
    for decoder in (1, 2):
        crop = tf.function(
            lambda batch, pairs, decoder=decoder: decode_crops(
                batch, ImageOptions(), shape, LEAST_AREA, pairs, decoder=decoder
            )
        )
        crops = crop(tf.constant(encoded), seeds).numpy()
        assert crops.shape == (len(encoded), *shape.array_shape)
        for image, seed, pixels in zip(encoded, seeds, crops, strict=True):
            np.testing.assert_array_equal(pixels, expected_pixels(image, shape, decoder, seed))


@pytest.mark.parametrize("decoder", [1, 2])
@pytest.mark.parametrize("channels", [1, 3])
def test_decode_images_of_any_size_equals_resize_of_pixels_of_pillow(
    decoder: int, channels: Literal[1, 3]
) -> None:
    shape = ImageShape(12, 16, channels)
    sizes = [(12, 16), (23, 90), (24, 32), (47, 63), (49, 65), (97, 131), (203, 400), (9, 300)]
    encoded = [
        write_noise(kind, found, size, **how)
        for size in sizes
        for found in {3, channels}
        for kind, how in (
            ("PNG", {}),
            ("JPEG", {"subsampling": 2}),
            ("JPEG", {"progressive": True, "subsampling": 1}),
        )
    ]
    decode = tf.function(lambda batch: decode_images(batch, ImageOptions(), shape, decoder))
    decoded = decode(tf.constant(encoded)).numpy()
    for image, pixels in zip(encoded, decoded, strict=True):
        np.testing.assert_array_equal(pixels, expected_pixels(image, shape, decoder))


@pytest.mark.parametrize("decoder", [1, 2])
@pytest.mark.parametrize("store", ["raw", "png", "jpeg"])
@pytest.mark.parametrize("size", [(12, 16), (23, 31), (24, 32), (53, 65), (100, 200)])
def test_decode_images_of_a_resized_dataset_equals_images_of_any_size(
    size: tuple[int, int], store: Literal["raw", "png", "jpeg"], decoder: int
) -> None:
    shape, options = ImageShape(12, 16), ImageOptions(resize=size[::-1], store=store)
    encoded = [write_noise(store.upper(), 3, size)]
    files = encoded
    if store == "raw":
        pixels = np.frombuffer(encoded[0], np.uint8).reshape(*size, 3)
        files = [tf.io.encode_png(pixels).numpy()]
    decoded = decode_images(tf.constant(encoded), options, shape, decoder)
    expected = decode_images(tf.constant(files), ImageOptions(), shape, decoder)
    np.testing.assert_array_equal(decoded, expected)


# 0 stores colours at the full size, 1 at half the width, 2 at half of both, where libjpeg looks at
# neighbours that a crop does not have.
@pytest.mark.parametrize(
    ("subsampling", "progressive"),
    [
        (0, True),
        (2, False),
        *(
            pytest.param(*options, marks=pytest.mark.slow)
            for options in ((0, False), (1, False), (1, True), (2, True))
        ),
    ],
)
def test_decode_crops_jpeg_equals_crop_of_whole_image(subsampling: int, progressive: bool) -> None:
    how: dict[str, Any] = {"quality": 90, "subsampling": subsampling, "progressive": progressive}
    check_crops([write_noise("JPEG", 3, **how) for _ in range(60)], SHAPE)


def test_decode_crops_mixed_formats_equal_crops_of_whole_images() -> None:
    kinds = [("JPEG", 1), ("PNG", 3), ("PNG", 1), ("JPEG", 3)]
    encoded = [write_noise(kind, channels) for kind, channels in kinds * 5]
    check_crops(encoded, SHAPE)
    check_crops(encoded, ImageShape(24, 32, 1))


@pytest.mark.parametrize(("stored", "fed"), [(3, 3), (1, 1), (1, 3), (3, 1)])
def test_decode_crops_raw_equals_png(stored: Literal[1, 3], fed: Literal[1, 3]) -> None:
    options = ImageOptions(resize=(50, 40), store="raw", channels=stored)
    raw = [write_noise("RAW", stored, (40, 50)) for _ in range(12)]
    shape = ImageShape(24, 32, fed)
    crops = decode_crops(tf.constant(raw), options, shape, LEAST_AREA, seed_pairs(12))
    whole = decode_images(tf.constant(raw), options, ImageShape(40, 50, fed)).numpy()
    pngs = tf.constant([tf.io.encode_png(pixels).numpy() for pixels in whole])
    expected = decode_crops(pngs, ImageOptions(), shape, LEAST_AREA, seed_pairs(12))
    np.testing.assert_array_equal(crops, expected)


def test_decode_crops_image_of_model_size_is_cropped() -> None:
    options = ImageOptions(resize=(32, 24))
    encoded = tf.constant([write_noise("JPEG", 3, (24, 32)) for _ in range(8)])
    crops = decode_crops(encoded, options, SHAPE, 0.1, seed_pairs(8)).numpy()
    assert (crops != decode_images(encoded, options, SHAPE).numpy()).any(axis=(1, 2, 3)).all()


def test_decode_crops_same_seed_gives_same_crops() -> None:
    encoded = tf.constant([write_noise("JPEG", 3, (60, 80))] * 6)
    first, again, later = (
        decode_crops(encoded, ImageOptions(), SHAPE, 0.1, seed_pairs(6, epoch)).numpy()
        for epoch in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert len({crop.tobytes() for crop in [*first, *later]}) == 12


def test_decode_crops_damaged_image_raises_invalid_argument_error() -> None:
    encoded = tf.constant([write_noise("JPEG", 3, (60, 80)), b"no image"])
    with pytest.raises(tf.errors.InvalidArgumentError):
        decode_crops(encoded, ImageOptions(), SHAPE, 0.1, seed_pairs(2))
