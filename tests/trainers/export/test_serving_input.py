"""What the exported graph makes of a file is what conversion and the decoder make of it."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from records.images import ImageOptions, NormalizedImage, normalize_image
from trainers.config import DECODER, ImageShape
from trainers.export.serving_input import prepare_images
from trainers.input.decode import decode_images

# The last ones are several times as large as the images of the datasets, also with a remainder.
_SIZES = [(37, 52), (96, 64), (64, 96), (300, 9), (9, 300), (1, 1), (32, 24)]
_SIZES += [(131, 99), (133, 203), (517, 402), (1001, 203)]


def make_files() -> list[bytes]:
    """Images of noise over a slope: RGB and grey, JPEG and PNG, of many sizes."""
    random = np.random.default_rng(0)
    files = []
    for number, (width, height) in enumerate(_SIZES):
        slope = np.linspace(0, 255, width)[None, :, None] * np.ones((height, 1, 3))
        samples = slope + random.normal(0, 40, slope.shape)
        image = Image.fromarray(samples.clip(0, 255).astype(np.uint8))
        for mode in ("RGB", "L"):
            content = io.BytesIO()
            kind = ("PNG", "JPEG")[(number + (mode == "L")) % 2]
            image.convert(mode).save(content, kind, progressive=number % 3 == 2)
            files.append(content.getvalue())
    return files


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"resize": (20, 30), "scaled_decode": True, "store": "png", "channels": 1},
        {"resize": (30, 20), "scaled_decode": True, "fit": "crop", "store": "raw"},
        {"store": "jpeg", "jpeg_quality": 80},
        *(
            pytest.param(options, marks=pytest.mark.slow)
            for options in (
                {"resize": (32, 24), "scaled_decode": True},
                {"resize": (20, 30), "scaled_decode": True, "fit": "pad", "background": "FF8000"},
                {"resize": (80, 60), "store": "raw"},
                {"channels": 1},
                {"resize": (32, 24)},
                {"resize": (30, 40), "store": "raw", "channels": 1},
                {"resize": (200, 50), "fit": "crop", "store": "png"},
                {"resize": (50, 200), "fit": "pad", "background": "FF8000"},
                {"resize": (50, 200), "fit": "pad", "background": "FF8000", "channels": 1},
            )
        ),
    ],
)
def test_serving_input_gives_same_pixels_as_stored_record(
    options: dict[str, Any],
) -> None:
    check_parity(options, DECODER)


@pytest.mark.parametrize("options", [{}, {"resize": (80, 60), "store": "raw"}])
def test_serving_input_gives_same_pixels_as_first_decoder(options: dict[str, Any]) -> None:
    check_parity(options, 1)


def check_parity(options: dict[str, Any], decoder: int) -> None:
    images = ImageOptions(**options)
    shape = ImageShape(24, 32, images.channels)
    files = make_files()
    stored = [normalize_image(data, images) for data in files]
    encoded = [each.encoded for each in stored if isinstance(each, NormalizedImage)]
    assert len(encoded) == len(files)
    prepare = tf.function(lambda files: prepare_images(files, images, shape, decoder))
    np.testing.assert_array_equal(
        prepare(tf.constant(files)), decode_images(tf.constant(encoded), images, shape, decoder)
    )


def test_serving_input_grey_dataset_feeds_colour_model() -> None:
    images, shape = ImageOptions(channels=1), ImageShape(24, 32, 3)
    pixels = prepare_images(tf.constant(make_files()[:3]), images, shape).numpy()
    assert pixels.shape == (3, 24, 32, 3)
    np.testing.assert_array_equal(pixels[..., 0], pixels[..., 2])
