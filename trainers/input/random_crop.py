"""Random crop boxes, as in the training of Inception.

A TensorFlow kernel draws a fraction of the area and an aspect ratio until a box with both fits into
the image.
After ten failures, the box is the largest centered box with an allowed aspect ratio.
"""

from __future__ import annotations

import tensorflow as tf

NARROWEST = 3 / 4
WIDEST = 4 / 3
"""Bounds of the aspect ratio, width / height, of every box, before rounding to pixels."""

_ATTEMPTS = 10


def sample_crop_box(size: tf.Tensor, min_area: float, seed: tf.Tensor) -> tf.Tensor:
    """Return a random box with at least a given fraction of the area of the image.

    Args:
        size: the height and width of the image in pixels, int32 (2,).
        min_area: the smallest fraction of the area of the image, in (0, 1]. If no box with an
            allowed aspect ratio is that large, the centered box is smaller.
        seed: the seed that determines the box, int64 (2,).

    Returns:
        int32 (4,): top, left, height, width in pixels, inside the image.
    """
    begin, extent, _ = tf.image.stateless_sample_distorted_bounding_box(
        tf.concat([size, [3]], axis=0),
        bounding_boxes=tf.zeros((1, 0, 4)),
        use_image_if_no_bounding_boxes=True,
        seed=seed,
        min_object_covered=0.0,
        aspect_ratio_range=(NARROWEST, WIDEST),
        area_range=(min_area, 1.0),
        max_attempts=_ATTEMPTS,
    )
    # After ten failures, the kernel returns the whole image, with any aspect ratio.
    drawn = tf.concat([begin[:2], extent[:2]], axis=0)
    return tf.where(tf.reduce_all(extent[:2] == size), _middle(size), drawn)


def _middle(size: tf.Tensor) -> tf.Tensor:
    # Reversed, because each side bounds the other.
    bounds = tf.cast(tf.reverse(size, [0]), tf.float32) * (1 / NARROWEST, WIDEST)
    extent = tf.minimum(size, tf.cast(tf.round(bounds), tf.int32))
    return tf.concat([(size - extent) // 2, extent], axis=0)
