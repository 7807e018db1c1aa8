"""Random operations of RandAugment and TrivialAugment, drawn for each image.

`keras.layers.RandAugment` draws its operations once per batch, so that all images of a batch are
changed alike, and computes all operations for all images one after the other. Here, the geometric
operations of an image share one interpolation, and the others are three computations: a blend of
the image with a simpler one, a function of each value, and an equalization.

The functions work with `keras.ops`, and with TensorFlow in tf.data (`trainers.augment.tf_ops`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

OPERATIONS = (
    "none", "shear_x", "shear_y", "shift_x", "shift_y", "rotate", "brightness", "saturation",
    "contrast", "sharpness", "posterize", "solarize", "autocontrast", "equalize",
)  # fmt: skip
"""The operations, each with the same probability."""

DRAWS = 3
"""The number of random numbers for each operation: its choice, its strength and its direction."""

_LEVELS = 256
_GRAY = (0.299, 0.587, 0.114)
_RAND_AUGMENT_MOST = 30


@dataclass(frozen=True)
class Policy:
    """The number of operations, and their bounds at the full strength.

    Args:
        operations: the number of operations of an image, one after the other.
        strength: the share of the bounds, 0 to 1.
        is_fixed: whether every operation has this strength; otherwise it is the largest one.
        shear: the largest shear, as a fraction.
        shift: the largest shift, as a fraction of a side.
        rotate_degrees: the largest rotation.
        color: the largest change of brightness, saturation, contrast and sharpness, as a fraction.
        bits: the largest number of bits of a value that are set to 0.
    """

    operations: int
    strength: float
    is_fixed: bool
    shear: float
    shift: float
    rotate_degrees: float
    color: float
    bits: int


def rand_augment(strength: float) -> Policy:
    """Return RandAugment (Cubuk et al., 2019) with two operations of a strength of 0 to 30."""
    return Policy(
        operations=2,
        strength=strength / _RAND_AUGMENT_MOST,
        is_fixed=True,
        shear=0.3,
        shift=0.45,
        rotate_degrees=30.0,
        color=0.9,
        bits=4,
    )


def trivial_augment(strength: float) -> Policy:
    """Return TrivialAugment Wide (Müller and Hutter, 2021); `strength` is the largest, 0 to 1."""
    return Policy(
        operations=1,
        strength=strength,
        is_fixed=False,
        shear=0.99,
        shift=0.45,
        rotate_degrees=135.0,
        color=0.99,
        bits=6,
    )


class _Step:
    """One operation of each image.

    Args:
        draws: float32 (DRAWS, batch) in [0, 1).
        policy: the bounds.
        ops: `keras.ops` or `trainers.augment.tf_ops`.
    """

    def __init__(self, draws: Any, policy: Policy, ops: Any) -> None:
        self._ops = ops
        self._chosen = ops.floor(draws[0] * len(OPERATIONS))
        drawn = ops.ones_like(draws[1]) if policy.is_fixed else draws[1]
        self._strength = policy.strength * drawn
        self._direction = ops.where(draws[2] < 0.5, -1.0, 1.0)

    def is_chosen(self, operation: str) -> Any:
        """Return 1.0 for the images with this operation, and 0.0 for the others, (batch,)."""
        return self._ops.cast(self._chosen == OPERATIONS.index(operation), "float32")

    def amount(self, operation: str, largest: float) -> Any:
        """Return the amount from 0 to `largest`; 0 for images with other operations, (batch,)."""
        return self.is_chosen(operation) * self._strength * largest

    def change(self, operation: str, largest: float) -> Any:
        """Return the amount in either direction, (batch,)."""
        return self.amount(operation, largest) * self._direction


def draw_transforms(draws: Any, policy: Policy, size: tuple[int, int], ops: Any) -> Any:
    """Return the geometric operations of each image as one transform, in the format of Keras.

    Args:
        draws: float32 (DRAWS, operations, batch) in [0, 1).
        policy: the operations and their bounds.
        size: (height, width) of the images in pixels.
        ops: `keras.ops` or `trainers.augment.tf_ops`.

    Returns:
        float32 (batch, 8): a point (x, y) of the result is taken from (a x + b y + c, d x + e y +
        f) of the image; the last two numbers are 0.
    """
    height, width = size
    zeros = ops.zeros_like(draws[0, 0])
    a, b, d, e = zeros + 1, zeros, zeros, zeros + 1
    x, y = zeros, zeros
    for number in range(policy.operations):
        step = _Step(draws[:, number], policy, ops)
        angle = step.change("rotate", math.radians(policy.rotate_degrees))
        cos, sin = ops.cos(angle), ops.sin(angle)
        right, down = step.change("shear_x", policy.shear), step.change("shear_y", policy.shear)
        move_x = step.change("shift_x", policy.shift * width)
        move_y = step.change("shift_y", policy.shift * height)
        x, y = x + a * move_x + b * move_y, y + d * move_x + e * move_y
        a, b = a * cos + b * (down + sin), a * (right - sin) + b * cos
        d, e = d * cos + e * (down + sin), d * (right - sin) + e * cos
    middle_x, middle_y = (width - 1) / 2, (height - 1) / 2
    return ops.stack(
        [
            a, b, middle_x + x - a * middle_x - b * middle_y,
            d, e, middle_y + y - d * middle_x - e * middle_y,
            zeros, zeros,
        ],
        axis=1,
    )  # fmt: skip


def vary_colors(pixels: Any, draws: Any, policy: Policy, ops: Any) -> Any:
    """Return images after their operations that are not geometric.

    Args:
        pixels: float32 (batch, height, width, channels), 0 to 255.
        draws: float32 (DRAWS, operations, batch) in [0, 1), those of the geometric operations too.
        policy: the operations and their bounds.
        ops: `keras.ops` or `trainers.augment.tf_ops`.
    """
    for number in range(policy.operations):
        step = _Step(draws[:, number], policy, ops)
        pixels = _blend(pixels, step, policy, ops)
        pixels = _map_values(pixels, step, policy, ops)
        pixels = _equalize(pixels, step, ops)
    return pixels


def _per_image(values: Any, ops: Any) -> Any:
    return ops.reshape(values, (-1, 1, 1, 1))


def _blend(pixels: Any, step: _Step, policy: Policy, ops: Any) -> Any:
    """Change brightness, saturation, contrast or sharpness."""
    gray = _to_gray(pixels)
    simpler = (  # black for brightness
        _per_image(step.is_chosen("saturation"), ops) * gray
        + _per_image(step.is_chosen("contrast"), ops) * ops.mean(gray, axis=(1, 2), keepdims=True)
        + _per_image(step.is_chosen("sharpness"), ops) * _smooth(pixels, ops)
    )
    change = sum(
        step.change(operation, policy.color)
        for operation in ("brightness", "saturation", "contrast", "sharpness")
    )
    factor = _per_image(change + 1, ops)
    return ops.clip(simpler + factor * (pixels - simpler), 0.0, 255.0)


def _to_gray(pixels: Any) -> Any:
    if pixels.shape[-1] == 1:
        return pixels
    red, green, blue = (share * pixels[..., place, None] for place, share in enumerate(_GRAY))
    return red + green + blue


def _smooth(pixels: Any, ops: Any) -> Any:
    """Return the mean of each pixel and its neighbors, in which the pixel counts five times."""
    rows = pixels + ops.concatenate([pixels[:, :1], pixels[:, :-1]], axis=1)
    rows = rows + ops.concatenate([pixels[:, 1:], pixels[:, -1:]], axis=1)
    both = rows + ops.concatenate([rows[:, :, :1], rows[:, :, :-1]], axis=2)
    both = both + ops.concatenate([rows[:, :, 1:], rows[:, :, -1:]], axis=2)
    return (both + 4 * pixels) / 13


def _map_values(pixels: Any, step: _Step, policy: Policy, ops: Any) -> Any:
    """Posterize, solarize, or stretch the values of each channel to the range 0 to 255."""
    levels = _per_image(2.0 ** ops.round(step.amount("posterize", policy.bits)), ops)
    pixels = ops.where(levels > 1, ops.floor(pixels / levels) * levels, pixels)
    is_solarized = _per_image(step.is_chosen("solarize"), ops)
    bound = 255 - _per_image(step.amount("solarize", 255.0), ops)
    pixels = ops.where((is_solarized > 0) & (pixels >= bound), 255 - pixels, pixels)
    lowest = ops.min(pixels, axis=(1, 2), keepdims=True)
    spread = ops.max(pixels, axis=(1, 2), keepdims=True) - lowest
    is_stretched = (_per_image(step.is_chosen("autocontrast"), ops) > 0) & (spread >= 1)
    stretched = (pixels - lowest) * (255 / ops.maximum(spread, 1.0))
    return ops.where(is_stretched, stretched, pixels)


def _equalize(pixels: Any, step: _Step, ops: Any) -> Any:
    """Equalize the histogram of each channel, as `PIL.ImageOps.equalize`."""
    height, width, channels = pixels.shape[1:]
    planes = ops.shape(pixels)[0] * channels
    values = ops.cast(ops.clip(ops.round(pixels), 0.0, 255.0), "int32")
    plane = ops.reshape(ops.arange(planes), (-1, 1, 1, channels))
    places = ops.reshape(values + plane * _LEVELS, (-1,))
    counted = ops.segment_sum(ops.ones_like(places), places, num_segments=planes * _LEVELS)
    counts = ops.cast(ops.reshape(counted, (-1, _LEVELS)), "float32")
    highest = ops.reshape(ops.max(values, axis=(1, 2)), (-1, 1))
    is_highest = ops.cast(ops.arange(_LEVELS) == highest, "float32")
    size = ops.floor((height * width - ops.sum(counts * is_highest, axis=1, keepdims=True)) / 255)
    below = ops.cumsum(counts, axis=1) - counts
    table = ops.floor((below + ops.floor(size / 2)) / ops.maximum(size, 1.0))
    same = ops.cast(ops.arange(_LEVELS), "float32")
    table = ops.where(size > 0, ops.clip(table, 0.0, 255.0), same)
    equalized = ops.reshape(ops.take(ops.reshape(table, (-1,)), places), ops.shape(pixels))
    return ops.where(_per_image(step.is_chosen("equalize"), ops) > 0, equalized, pixels)
