"""Augmentation inside tf.data, determined by a seed.

The draws have the same distributions as in `trainers.augment.layers`, which augments inside the
model. tf.data runs several calls in parallel, so the draws depend only on the seed of the call.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from trainers.augment import tf_ops
from trainers.augment.operations import (
    DRAWS,
    Policy,
    draw_transforms,
    rand_augment,
    trivial_augment,
    vary_colors,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from trainers.options import Augmentation

FILL_MODE = "reflect"
"""The fill mode for pixels beyond the border. Repeated border pixels would draw streaks, and from
black corners a network could learn the angle of rotation."""

_FLIP_AXES = {"vertical": 1, "horizontal": 2}
ERASED_AREAS = (0.02, 0.33)
"""The smallest and the largest product of the draws for height and width of an erased rectangle."""

ERASED_VALUE = 128.0

_STREAMS = (
    "vertical", "horizontal", "affine", "contrast", "brightness", "randaugment", "trivialaugment",
    "saturation", "hue", "erase",
)  # fmt: skip


def augment_images(images: tf.Tensor, augmentation: Augmentation, seed: tf.Tensor) -> tf.Tensor:
    """Return randomly varied images.

    `crop` is ignored, because decoding applies it, and so are `mixup` and `cutmix`, which also mix
    labels.

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
    if not _changes_values(augmentation):
        return images
    pixels = _operate(tf.cast(images, tf.float32), augmentation, draw)
    pixels = _change_colors(pixels, augmentation, draw)
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


def saturation_factors(change: float) -> tuple[float, float]:
    """Return the bounds of f, where f / (1 - f) is the factor of the saturation, as in Keras.

    The factor of the saturation is between 1 - change and 1 + change.
    """
    return (1 - change) / (2 - change), (1 + change) / (2 + change)


def _has_affine(augmentation: Augmentation) -> bool:
    return bool(augmentation.rotate_degrees or augmentation.shift or augmentation.zoom)


def _changes_values(augmentation: Augmentation) -> bool:
    """Return whether a change other than a reversal computes with pixels."""
    names = ("contrast", "brightness", "saturation", "hue", "erase", "randaugment")
    more = any(getattr(augmentation, name) for name in (*names, "trivialaugment"))
    return _has_affine(augmentation) or more


def _transform(pixels: tf.Tensor, transforms: tf.Tensor) -> tf.Tensor:
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=pixels,
        transforms=transforms,
        output_shape=pixels.shape[1:3],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode=FILL_MODE.upper(),
    )


def _operate(pixels: tf.Tensor, augmentation: Augmentation, draw: Callable[..., Any]) -> tf.Tensor:
    """Apply the geometric changes, and the operations of the policies."""
    if _has_affine(augmentation):
        draws = draw("affine", 4)[:, :, 0, 0, 0]
        transforms = affine_transforms(draws, augmentation, pixels.shape[1:3], tf)
        pixels = _transform(pixels, transforms)
    if augmentation.randaugment:
        policy = rand_augment(augmentation.randaugment)
        pixels = _apply(pixels, policy, draw, "randaugment")
    if augmentation.trivialaugment:
        policy = trivial_augment(augmentation.trivialaugment)
        pixels = _apply(pixels, policy, draw, "trivialaugment")
    return pixels


def _apply(pixels: tf.Tensor, policy: Policy, draw: Callable[..., Any], stream: str) -> tf.Tensor:
    """Apply the operations of a policy; `draw` returns numbers in [-1, 1)."""
    drawn = (draw(stream, DRAWS * policy.operations) + 1) / 2
    draws = tf.reshape(drawn, (DRAWS, policy.operations, -1))
    moved = _transform(pixels, draw_transforms(draws, policy, pixels.shape[1:3], tf_ops))
    return vary_colors(moved, draws, policy, tf_ops)


def _change_colors(
    pixels: tf.Tensor, augmentation: Augmentation, draw: Callable[..., Any]
) -> tf.Tensor:
    """Apply the changes that leave each pixel in its place."""
    if augmentation.contrast:
        mean = tf.reduce_mean(pixels, axis=(1, 2), keepdims=True)
        pixels = mean + (pixels - mean) * (1 + augmentation.contrast * draw("contrast")[0])
        pixels = tf.clip_by_value(pixels, 0, 255)
    if augmentation.brightness:
        pixels += 255 * augmentation.brightness * draw("brightness")[0]
        pixels = tf.clip_by_value(pixels, 0, 255)
    if augmentation.saturation:
        low, high = saturation_factors(augmentation.saturation)
        factors = low + (high - low) * (draw("saturation")[0, ..., 0] + 1) / 2
        hue, saturation, value = _to_hsv(pixels)
        saturation = tf.minimum(saturation * factors / (1 - factors), 1)
        pixels = _from_hsv(hue, saturation, value)
    if augmentation.hue:
        hue, saturation, value = _to_hsv(pixels)
        hue = (hue + augmentation.hue / 2 * draw("hue")[0, ..., 0]) % 1
        pixels = _from_hsv(hue, saturation, value)
    if augmentation.erase:
        pixels = _erase(pixels, augmentation.erase, (draw("erase", 5) + 1) / 2)
    return pixels


def _to_hsv(pixels: tf.Tensor) -> list[tf.Tensor]:
    channels: list[tf.Tensor] = tf.unstack(tf.image.rgb_to_hsv(pixels / 255), axis=-1)
    return channels


def _from_hsv(*channels: tf.Tensor) -> tf.Tensor:
    return 255 * tf.image.hsv_to_rgb(tf.stack(channels, axis=-1))


def _erase(pixels: tf.Tensor, share: float, draws: tf.Tensor) -> tf.Tensor:
    """Make a rectangle of some images gray, as `keras.layers.RandomErasing`.

    Args:
        pixels: float32 (batch, height, width, channels).
        share: the probability of a rectangle.
        draws: float32 (5, batch, 1, 1, 1) in [0, 1): whether there is a rectangle, its height and
            width, its place.
    """
    low, high = ERASED_AREAS
    is_erased = draws[0] < share
    for axis, (length, place) in enumerate(((draws[1], draws[3]), (draws[2], draws[4])), start=1):
        pixels_of_side = pixels.shape[axis]
        extent = tf.sqrt(low + (high - low) * length) * pixels_of_side
        begin = place * (pixels_of_side - extent)
        shape = [1, -1, 1, 1] if axis == 1 else [1, 1, -1, 1]
        numbers = tf.reshape(tf.range(pixels_of_side, dtype=tf.float32), shape)
        is_erased &= (numbers >= begin) & (numbers < begin + extent)
    return tf.where(is_erased, ERASED_VALUE, pixels)
