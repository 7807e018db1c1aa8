"""Fixtures that make image files, store them, and read them with TensorFlow."""

from __future__ import annotations

import os
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from records.images import NormalizedImage, Rejection, normalize_image

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from records.images import ImageOptions

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@pytest.fixture(scope="session")
def picture() -> Image.Image:
    """Return a smooth RGB image, 48 × 32 px, different in each corner and each channel."""
    red, green = np.meshgrid(np.arange(48) * 5, np.arange(32) * 7)
    return Image.fromarray(np.stack([red, green, 255 - red], axis=2).astype(np.uint8))


@pytest.fixture(scope="session")
def encode() -> Callable[..., bytes]:
    """Return a function from an image, a format and Pillow options to the bytes of a file."""

    def encode_file(image: Image.Image, kind: str, **options: Any) -> bytes:
        target = BytesIO()
        image.save(target, kind, **options)
        return target.getvalue()

    return encode_file


@pytest.fixture(scope="session")
def store() -> Callable[[bytes, ImageOptions], NormalizedImage]:
    """Return `normalize_image`, with a rejection as a test failure."""

    def store_file(data: bytes, options: ImageOptions) -> NormalizedImage:
        stored = normalize_image(data, options)
        assert not isinstance(stored, Rejection), stored
        return stored

    return store_file


@pytest.fixture(scope="session")
def read_with_tensorflow() -> Callable[[NormalizedImage], NDArray[np.uint8]]:
    """Return a function that decodes a stored image as for a training run, to uint8 pixels."""
    import tensorflow as tf

    def read(stored: NormalizedImage) -> NDArray[np.uint8]:
        if stored.format == "raw":
            flat = np.frombuffer(stored.encoded, np.uint8)
            return flat.reshape(stored.height, stored.width, stored.channels)
        if stored.format == "jpeg":
            decoded = tf.io.decode_jpeg(stored.encoded, dct_method="INTEGER_ACCURATE")
        else:
            decoded = tf.io.decode_png(stored.encoded)
        pixels: NDArray[np.uint8] = decoded.numpy()
        return pixels

    return read
