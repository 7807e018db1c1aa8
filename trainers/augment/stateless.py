"""Augmentation inside tf.data, determined by a seed.

The draws have the same distributions as in `trainers.augment.layers`, which augments inside the
model. tf.data runs several calls in parallel, so the draws depend only on the seed of the call.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import tensorflow as tf

if TYPE_CHECKING:
    from trainers.options import Augmentation

FILL_MODE = "reflect"
"""The fill mode for pixels beyond the border. Repeated border pixels would draw streaks, and from
black corners a network could learn the angle of rotation."""

_FLIP_AXES = {"vertical": 1, "horizontal": 2}
_STREAMS = ("vertical", "horizontal", "affine", "contrast", "brightness")


def augment_images(images: tf.Tensor, augmentation: Augmentation, seed: tf.Tensor) -> tf.Tensor:
    """Return randomly varied images; `crop` is ignored, because decoding applies it.

    Args:
        images: uint8 (batch, height, width, channels); height and width are static.
        augmentation: the kinds of variation and their bounds.
        seed: the seed, int64 (2,). The same seed gives the same result.

    Returns:
        uint8, of the same shape.
    """

    def draw(stream: str, values: int = 1) -> tf.Tensor:
        """Return float32 (values, batch, 1, 1, 1) in [-1, 1)."""
        own_seed = tf.random.experimental.stateless_fold_in(seed, _STREAMS.index(stream))
        shape = (values, tf.shape(images)[0], 1, 1, 1)
        return tf.random.stateless_uniform(shape, own_seed, -1, 1)

    for direction, axis in _FLIP_AXES.items():
        if augmentation.flip in {direction, "both"}:
            images = _mirror(images, axis, draw(direction)[0, :, 0, 0, 0] < 0)
    if not (_has_affine(augmentation) or augmentation.contrast or augmentation.brightness):
        return images
    pixels = tf.cast(images, tf.float32)
    if _has_affine(augmentation):
        height, width = images.shape[1:3]
        draws = draw("affine", 4)[:, :, 0, 0, 0]
        pixels = tf.raw_ops.ImageProjectiveTransformV3(
            images=pixels,
            transforms=affine_transforms(draws, augmentation, (height, width), tf),
            output_shape=(height, width),
            fill_value=0.0,
            interpolation="BILINEAR",
            fill_mode=FILL_MODE.upper(),
        )
    if augmentation.contrast:
        mean = tf.reduce_mean(pixels, axis=(1, 2), keepdims=True)
        pixels = mean + (pixels - mean) * (1 + augmentation.contrast * draw("contrast")[0])
        pixels = tf.clip_by_value(pixels, 0, 255)
    if augmentation.brightness:
        pixels += 255 * augmentation.brightness * draw("brightness")[0]
    return tf.cast(tf.round(tf.clip_by_value(pixels, 0, 255)), tf.uint8)


def _mirror(images: tf.Tensor, axis: int, chosen: tf.Tensor) -> tf.Tensor:
    """Return the images, the chosen ones, bool (batch,), reversed along an axis: 1 or 2."""
    batch, (height, width, channels) = tf.shape(images)[0], images.shape[1:]
    # A reversal of rows of three dimensions has its own loop, which takes a third of the time, and
    # a selection of whole images a tenth of the time of `tf.where`, which compares each value.
    is_horizontal = axis == _FLIP_AXES["horizontal"]
    rows = (-1, width, channels) if is_horizontal else (-1, height, width * channels)
    mirrored = tf.reshape(tf.reverse(tf.reshape(images, rows), [1]), tf.shape(images))
    both = tf.concat([images, mirrored], axis=0)
    return tf.gather(both, tf.range(batch) + batch * tf.cast(chosen, tf.int32))


def affine_transforms(
    draws: Any, augmentation: Augmentation, size: tuple[int, int], ops: Any
) -> Any:
    """Return one rotation, zoom and shift per image, in the format of TensorFlow and Keras.

    A transform maps a point of the result to a point of the image, in (x, y) from the center:
    source = zoom * rotation * (point - shift).

    Args:
        draws: float32 (4, batch) in [-1, 1): angle, zoom, shift along x, shift along y.
        augmentation: the bounds of the variations.
        size: (height, width) of the images in pixels.
        ops: `keras.ops` or `tensorflow`.

    Returns:
        float32 (batch, 8).
    """
    height, width = size
    angle = draws[0] * math.radians(augmentation.rotate_degrees)
    zoom = 1 + draws[1] * augmentation.zoom
    cos, sin = zoom * ops.cos(angle), zoom * ops.sin(angle)
    center_x, center_y = (width - 1) / 2, (height - 1) / 2
    x = center_x + draws[2] * augmentation.shift * width
    y = center_y + draws[3] * augmentation.shift * height
    zeros = ops.zeros_like(angle)
    return ops.stack(
        [
            cos, -sin, center_x - cos * x + sin * y,
            sin, cos, center_y - sin * x - cos * y,
            zeros, zeros,
        ],
        axis=1,
    )  # fmt: skip


def _has_affine(augmentation: Augmentation) -> bool:
    return bool(augmentation.rotate_degrees or augmentation.shift or augmentation.zoom)
