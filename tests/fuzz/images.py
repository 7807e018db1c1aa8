"""Differential check of stored images: TensorFlow decodes the pixels that `records` decodes."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np

from records.images import ImageOptions, Rejection, decode_record_image, normalize_image

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
_DCT = "INTEGER_ACCURATE"
_REACH_PX = 2


def check_image(data: bytes, on_decoded: Callable[[], None] = lambda: None) -> bool:
    """Check that a file is rejected, or stored as an image that TensorFlow decodes likewise.

    Args:
        data: the file.
        on_decoded: called before TensorFlow decodes the stored image.

    Returns:
        Whether the file is stored.

    Raises:
        AssertionError: the pixels differ.
        Exception: TensorFlow or `records` refuses the stored image.
    """
    stored = normalize_image(data, ImageOptions())
    _check_header_option(data, stored)
    if isinstance(stored, Rejection):
        on_decoded()
        return False
    assert bool(stored.changes) == (stored.encoded != data)
    ours = decode_record_image(
        stored.encoded, stored.format, stored.width, stored.height, stored.channels
    )
    on_decoded()
    _compare(stored.encoded, stored.format, ours)
    return True


def _check_header_option(data: bytes, stored: Any) -> None:
    """Check that without decoding the same files are stored unchanged, but for damaged data."""
    trusted = normalize_image(data, ImageOptions(check="header"))
    assert trusted == stored or (
        isinstance(stored, Rejection)
        and not isinstance(trusted, Rejection)
        and trusted.encoded == data
    )


def _compare(encoded: bytes, kind: str, ours: np.ndarray[Any, Any]) -> None:
    import tensorflow as tf

    height, width, channels = ours.shape
    # The kernel of training: it also reads PNG.
    trained = tf.io.decode_jpeg(encoded, channels=channels, dct_method=_DCT).numpy()
    np.testing.assert_array_equal(trained, ours)
    other = tf.io.decode_jpeg(encoded, channels=4 - channels, dct_method=_DCT)
    assert other.shape == (height, width, 4 - channels)
    if kind == "png":
        np.testing.assert_array_equal(tf.io.decode_png(encoded).numpy(), ours)
        return
    assert tuple(tf.io.extract_jpeg_shape(encoded).numpy()) == ours.shape
    top, left = height // 3, width // 3
    window = (top, left, height - top - height // 4, width - left - width // 4)
    cut = tf.image.decode_and_crop_jpeg(encoded, window, channels=channels, dct_method=_DCT).numpy()
    assert cut.shape == (window[2], window[3], channels)
    inner = tuple(slice(_REACH_PX, size - _REACH_PX) for size in window[2:])
    whole = ours[top : top + window[2], left : left + window[3]]
    np.testing.assert_array_equal(cut[inner], whole[inner])
