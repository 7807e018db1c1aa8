"""Where a random crop lies in an image: Inception's, as TensorFlow's own kernel draws it.

A part of the area and an aspect ratio are drawn until a window of both fits into the image; after
ten failures it is the largest window in the middle whose aspect ratio is allowed.
"""

from __future__ import annotations

import tensorflow as tf

NARROWEST = 3 / 4
WIDEST = 4 / 3
"""Between these lies width / height of every window, to the pixel."""

_ATTEMPTS = 10


def sample_crop_box(size: tf.Tensor, min_area: float, seed: tf.Tensor) -> tf.Tensor:
    """A random window: its area is at least a part of the image's.

    Args:
        size: int32 (2,), the image's height and width in pixels.
        min_area: the least part of the image's area, in (0, 1]. Where no window of an allowed
            aspect ratio is that large, the one in the middle is smaller.
        seed: int64 (2,), all that chance depends on.

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
    # Failing, the kernel answers with the whole image, whatever its aspect ratio.
    drawn = tf.concat([begin[:2], extent[:2]], axis=0)
    return tf.where(tf.reduce_all(extent[:2] == size), _middle(size), drawn)


def _middle(size: tf.Tensor) -> tf.Tensor:
    # The other way round, each side bounds the other.
    bounds = tf.cast(tf.reverse(size, [0]), tf.float32) * (1 / NARROWEST, WIDEST)
    extent = tf.minimum(size, tf.cast(tf.round(bounds), tf.int32))
    return tf.concat([(size - extent) // 2, extent], axis=0)
