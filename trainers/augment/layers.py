"""Augmentation as a Keras model, the first part of the trained model.

The augmentation runs on the device of the trained model, in uint8 or float32 at every precision
policy. It rounds the result to uint8, so that the network receives the same type in training and in
prediction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from trainers.augment.operations import (
    DRAWS,
    Policy,
    draw_transforms,
    rand_augment,
    trivial_augment,
    vary_colors,
)
from trainers.augment.stateless import (
    ERASED_AREAS,
    ERASED_VALUE,
    FILL_MODE,
    affine_transforms,
    saturation_factors,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainers.config import ImageShape
    from trainers.options import Augmentation

# New names are added at the end, so that the seeds of the others stay the same.
_SEEDED = (
    "horizontal", "vertical", "affine", "contrast", "brightness", "randaugment", "trivialaugment",
    "saturation", "hue", "erase", "mixup", "cutmix", "mixer",
)  # fmt: skip
_COLORS: dict[str, Any] = {"data_format": "channels_last", "dtype": "float32"}


def build_augmenter(augmentation: Augmentation, shape: ImageShape, seed: int) -> keras.Model | None:
    """Return a model that varies images if called with `training=True`.

    The random draws depend on the seed. Their state is a non-trainable variable of the model.

    Args:
        augmentation: the variations; `crop`, `mixup` and `cutmix` are ignored: decoding crops, and
            `trainers.augment.mixing` mixes.
        shape: the shape of the images.
        seed: the seed from which each kind of variation derives its own seed.

    Returns:
        A model from uint8 (batch, *shape) to uint8 (batch, *shape); None without variations.
    """
    mirrors, variations = _build_layers(augmentation, seed)
    if not mirrors + variations:
        return None
    images = keras.Input(shape.array_shape, dtype="uint8", name="image")
    varied = Augmenter(mirrors, variations, name="augmenter")(images)
    return keras.Model(images, varied, name="augmentation")


def derive_seeds(seed: int) -> dict[str, int]:
    """Return a seed for each kind of variation, by name."""
    numbers = np.random.SeedSequence(seed).generate_state(len(_SEEDED)).tolist()
    # Halved, because not every backend has unsigned integers.
    return {name: number >> 1 for name, number in zip(_SEEDED, numbers, strict=True)}


def _build_layers(
    augmentation: Augmentation, seed: int
) -> tuple[list[keras.layers.Layer], list[keras.layers.Layer]]:
    """Return the layers for uint8, and the layers for float32 that follow."""
    seeds = derive_seeds(seed)
    mirrors: list[keras.layers.Layer] = [
        RandomMirror(axis, seeds[name])
        for axis, name in enumerate(("vertical", "horizontal"), start=1)
        if augmentation.flip in {name, "both"}
    ]
    variations: list[keras.layers.Layer] = []
    if augmentation.rotate_degrees or augmentation.shift or augmentation.zoom:
        variations.append(RandomAffine(augmentation, seeds["affine"]))
    if strength := augmentation.randaugment:
        variations.append(RandomOperations(rand_augment(strength), seeds["randaugment"]))
    if strength := augmentation.trivialaugment:
        variations.append(RandomOperations(trivial_augment(strength), seeds["trivialaugment"]))
    return mirrors, variations + _build_color_layers(augmentation, seeds)


def _build_color_layers(
    augmentation: Augmentation, seeds: Mapping[str, int]
) -> list[keras.layers.Layer]:
    """Return the layers for float32 that leave each pixel in its place."""
    layers: list[keras.layers.Layer] = []
    if factor := augmentation.contrast:
        # Given a single factor, Keras would only increase the contrast.
        both, seed = (factor, factor), seeds["contrast"]
        layers.append(keras.layers.RandomContrast(both, seed=seed, dtype="float32"))
    if factor := augmentation.brightness:
        seed = seeds["brightness"]
        layers.append(keras.layers.RandomBrightness(factor, seed=seed, dtype="float32"))
    if factor := augmentation.saturation:
        # The range is that of the saturation, not of the values: Keras would clip it at 255. A
        # single factor would also be negative.
        factors, seed = saturation_factors(factor), seeds["saturation"]
        layers.append(
            keras.layers.RandomSaturation(factors, value_range=(0, 1), seed=seed, **_COLORS)
        )
    if factor := augmentation.hue:
        layers.append(keras.layers.RandomHue(factor, seed=seeds["hue"], **_COLORS))
    if share := augmentation.erase:
        # Given a single factor, Keras would draw the probability too, from 0 to the factor. Without
        # a value, it would draw noise, half of which is black.
        layers.append(
            keras.layers.RandomErasing(
                (share, share),
                scale=ERASED_AREAS,
                fill_value=ERASED_VALUE,
                seed=seeds["erase"],
                **_COLORS,
            )
        )
    return layers


class Augmenter(keras.layers.Layer):  # type: ignore[misc] # Keras has no types
    """A sequence of layers from uint8 to uint8, active in training only.

    Args:
        mirrors: the first layers, which work on uint8.
        variations: the layers after them, which work on float32 from 0 to 255.
        **kwargs: the arguments of `keras.layers.Layer`.
    """

    def __init__(
        self,
        mirrors: list[keras.layers.Layer],
        variations: list[keras.layers.Layer],
        **kwargs: Any,
    ) -> None:
        super().__init__(dtype="float32", **kwargs)
        self.mirrors = mirrors
        self.variations = variations
        self.supports_jit = all(layer.supports_jit for layer in mirrors + variations)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Build the layers."""
        for layer in self.mirrors + self.variations:
            layer.build(input_shape)

    def call(self, images: Any, training: bool = False) -> Any:
        """Return images of the same type: uint8 (batch, height, width, channels)."""
        if not training:
            return images
        for layer in self.mirrors:
            images = layer(images)
        if not self.variations:
            return images
        pixels = ops.cast(images, "float32")
        for layer in self.variations:
            pixels = layer(pixels)
        return ops.cast(ops.round(ops.clip(pixels, 0, 255)), "uint8")


class RandomMirror(keras.layers.Layer):  # type: ignore[misc] # Keras has no types
    """Mirrors each image with probability 1/2.

    `keras.layers.RandomFlip` takes five to ten times as long on a CPU, because it works in float32
    and selects with `where`. For both axes, it draws only one random number per image: it rotates
    the image by 180 degrees, or leaves it unchanged.

    Args:
        axis: the axis to reverse.
        seed: the seed of the random draws.
    """

    def __init__(self, axis: int, seed: int) -> None:
        super().__init__(dtype="float32")
        self.axis = axis
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, images: Any) -> Any:
        """Return images of the same type: uint8 (batch, height, width, channels)."""
        shape = (ops.shape(images)[0], 1, 1, 1)
        draws = keras.random.uniform(shape, dtype="float32", seed=self.seed_generator)
        mirrored = ops.cast(draws < 0.5, "uint8")
        kept = ops.cast(draws >= 0.5, "uint8")
        return images * kept + ops.flip(images, self.axis) * mirrored


class RandomAffine(keras.layers.Layer):  # type: ignore[misc] # Keras has no types
    """Rotates, shifts and zooms each image in one interpolation.

    The three Keras layers for these changes interpolate three times, which blurs images and takes
    two to four times as long. JAX cannot compile a model that contains these Keras layers.

    Args:
        augmentation: the bounds of the variations.
        seed: the seed of the random draws.
    """

    def __init__(self, augmentation: Augmentation, seed: int) -> None:
        super().__init__(dtype="float32")
        self.augmentation = augmentation
        self.seed_generator = keras.random.SeedGenerator(seed)
        # XLA does not support the TensorFlow kernel.
        self.supports_jit = keras.backend.backend() != "tensorflow"

    def call(self, images: Any) -> Any:
        """Return images of the same type: float32 (batch, height, width, channels)."""
        return ops.image.affine_transform(
            images,
            self._draw_transforms(images),
            fill_mode=FILL_MODE,
            data_format="channels_last",
        )

    def _draw_transforms(self, images: Any) -> Any:
        height, width = images.shape[1:3]
        draws = keras.random.uniform(
            (4, ops.shape(images)[0]), -1, 1, dtype="float32", seed=self.seed_generator
        )
        return affine_transforms(draws, self.augmentation, (height, width), ops)


class RandomOperations(keras.layers.Layer):  # type: ignore[misc] # Keras has no types
    """Applies random operations to each image: RandAugment or TrivialAugment.

    Args:
        policy: the number of operations, and their bounds.
        seed: the seed of the random draws.
    """

    def __init__(self, policy: Policy, seed: int) -> None:
        super().__init__(dtype="float32")
        self.policy = policy
        self.seed_generator = keras.random.SeedGenerator(seed)
        # As for `RandomAffine`.
        self.supports_jit = keras.backend.backend() != "tensorflow"

    def call(self, images: Any) -> Any:
        """Return images of the same type: float32 (batch, height, width, channels)."""
        shape = (DRAWS, self.policy.operations, ops.shape(images)[0])
        draws = keras.random.uniform(shape, dtype="float32", seed=self.seed_generator)
        moved = ops.image.affine_transform(
            images,
            draw_transforms(draws, self.policy, images.shape[1:3], ops),
            fill_mode=FILL_MODE,
            data_format="channels_last",
        )
        return vary_colors(moved, draws, self.policy, ops)
