"""Pillow's antialiased bilinear resize, to the bit, out of TensorFlow's operations.

TensorFlow has such a filter of its own, which rounds once, at the end, and differs by a level here
and there; after JPEG has been at it again, by up to twenty. This rounds where Pillow does
(`Resample.c`): weights to 22 bits, and each of the two passes, along rows and columns, to 8.
"""

from __future__ import annotations

import tensorflow as tf

_WEIGHT_BITS = 22


def resample(pixels: tf.Tensor, size: tf.Tensor, box: tf.Tensor) -> tf.Tensor:
    """A part of an image at another size.

    Args:
        pixels: uint8 (height, width, channels).
        size: int32 (2,), height and width.
        box: float32 (4,), the part: top, left, bottom, right, between pixels.

    Returns:
        uint8 (*size, channels).
    """
    source = tf.shape(pixels)
    top, left, bottom, right = tf.unstack(box)

    def rows(image: tf.Tensor) -> tf.Tensor:
        return _resample_axis(image, 0, size[0], top, bottom)

    def columns(image: tf.Tensor) -> tf.Tensor:
        return _resample_axis(image, 1, size[1], left, right)

    # As in `records.images`: never a huge image in between.
    between_px = size[1] * source[0]
    largest_px = tf.maximum(source[0] * source[1], size[0] * size[1])
    return tf.cond(
        between_px > largest_px, lambda: columns(rows(pixels)), lambda: rows(columns(pixels))
    )


def _resample_axis(
    pixels: tf.Tensor, axis: int, size: tf.Tensor, begin: tf.Tensor, end: tf.Tensor
) -> tf.Tensor:
    """One pass: what lies from `begin` to `end` along `axis`, at `size` there."""
    last = tf.shape(pixels)[axis] - 1
    firsts, weights = _weigh(last + 1, size, begin, end)
    weights_shape = (-1, 1, 1) if axis == 0 else (1, -1, 1)

    def add_tap(total: tf.Tensor, tap: tf.Tensor) -> tf.Tensor:
        part = tf.gather(pixels, tf.minimum(firsts + tap, last), axis=axis)
        return total + tf.cast(part, tf.int32) * tf.reshape(weights[:, tap], weights_shape)

    # Tap by tap, for all at once would take many times the memory of the image.
    half = tf.fill(_with_side(tf.shape(pixels), axis, size), 1 << (_WEIGHT_BITS - 1))
    total = tf.foldl(add_tap, tf.range(tf.shape(weights)[1]), initializer=half)
    rounded = tf.bitwise.right_shift(total, _WEIGHT_BITS)
    return tf.cast(tf.clip_by_value(rounded, 0, 255), tf.uint8)


def _with_side(shape: tf.Tensor, axis: int, size: tf.Tensor) -> tf.Tensor:
    return tf.tensor_scatter_nd_update(shape, [[axis]], [size])


def _weigh(
    source: tf.Tensor, size: tf.Tensor, begin: tf.Tensor, end: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """For each sample of the result the first of the source that it draws on, and the weights.

    Returns:
        int32 (size,), and int32 (size, taps), which sum up to 1 << 22.
    """
    scale = tf.cast(end - begin, tf.float64) / tf.cast(size, tf.float64)
    support = tf.maximum(scale, 1)
    centers = tf.cast(begin, tf.float64) + (tf.range(tf.cast(size, tf.float64)) + 0.5) * scale
    firsts = tf.maximum(tf.cast(centers - support + 0.5, tf.int32), 0)
    ends = tf.minimum(tf.cast(centers + support + 0.5, tf.int32), source)
    places = firsts[:, None] + tf.range(tf.cast(tf.math.ceil(support), tf.int32) * 2 + 1)
    distances = tf.abs((tf.cast(places, tf.float64) - centers[:, None] + 0.5) * (1 / support))
    weights = tf.where(places < ends[:, None], tf.maximum(1 - distances, 0), 0)
    parts = weights / tf.reduce_sum(weights, axis=1, keepdims=True)
    return firsts, tf.cast(0.5 + parts * (1 << _WEIGHT_BITS), tf.int32)
