"""Augmentation as a Keras model of uint8 images, for the front of the model that trains.

It runs where that model runs, in its precision of float32 whatever the others', and rounds back to
uint8, so that a network in training is fed what it is fed in use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from trainers.augment.stateless import FILL_MODE, affine_transforms

if TYPE_CHECKING:
    from trainers.config import ImageShape
    from trainers.options import Augmentation

_SEEDED = ("horizontal", "vertical", "affine", "contrast", "brightness")


def build_augmenter(augmentation: Augmentation, shape: ImageShape, seed: int) -> keras.Model | None:
    """A model that varies images where it is called with `training=True`, and else does nothing.

    Its draws follow from the seed; how far they have come is among its non-trainable variables.

    Args:
        augmentation: how; `crop` is no concern of it, for that happens as images are decoded.
        shape: of the images.
        seed: each kind of variation has its own, derived from it.

    Returns:
        uint8 (batch, *shape) to the same; None where nothing is to be done.
    """
    mirrors, variations = _build_layers(augmentation, seed)
    if not mirrors + variations:
        return None
    images = keras.Input(shape.array_shape, dtype="uint8", name="image")
    varied = Augmenter(mirrors, variations, name="augmenter")(images)
    return keras.Model(images, varied, name="augmentation")


def _build_layers(
    augmentation: Augmentation, seed: int
) -> tuple[list[keras.layers.Layer], list[keras.layers.Layer]]:
    """Layers for uint8, and after them those for float32."""
    numbers = np.random.SeedSequence(seed).generate_state(len(_SEEDED)).tolist()
    # Half of them: not every backend has unsigned ones.
    seeds = {name: number >> 1 for name, number in zip(_SEEDED, numbers, strict=True)}
    mirrors: list[keras.layers.Layer] = [
        RandomMirror(axis, seeds[name])
        for axis, name in enumerate(("vertical", "horizontal"), start=1)
        if augmentation.flip in {name, "both"}
    ]
    variations: list[keras.layers.Layer] = []
    if augmentation.rotate_degrees or augmentation.shift or augmentation.zoom:
        variations.append(RandomAffine(augmentation, seeds["affine"]))
    if factor := augmentation.contrast:
        # Of a single factor Keras only ever makes more contrast, not less.
        both, seed = (factor, factor), seeds["contrast"]
        variations.append(keras.layers.RandomContrast(both, seed=seed, dtype="float32"))
    if factor := augmentation.brightness:
        seed = seeds["brightness"]
        variations.append(keras.layers.RandomBrightness(factor, seed=seed, dtype="float32"))
    return mirrors, variations


class Augmenter(keras.layers.Layer):  # type: ignore[misc] # Keras has no types
    """Layers in a row, from uint8 to uint8, in training only.

    Args:
        mirrors: layers that go first, for they need no more than uint8.
        variations: layers of float32, 0 to 255.
        **kwargs: those of any layer.
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
        """Images uint8 (batch, height, width, channels) to the same."""
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
    """Mirrors every other image or so.

    Keras's RandomFlip takes five to ten times as long on a CPU, in float32 and choosing by `where`;
    and for both axes it draws once, so that it only ever turns by 180 degrees.

    Args:
        axis: the one turned round.
        seed: of the draws.
    """

    def __init__(self, axis: int, seed: int) -> None:
        super().__init__(dtype="float32")
        self.axis = axis
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, images: Any) -> Any:
        """Images uint8 (batch, height, width, channels) to the same."""
        shape = (ops.shape(images)[0], 1, 1, 1)
        draws = keras.random.uniform(shape, dtype="float32", seed=self.seed_generator)
        mirrored = ops.cast(draws < 0.5, "uint8")
        kept = ops.cast(draws >= 0.5, "uint8")
        return images * kept + ops.flip(images, self.axis) * mirrored


class RandomAffine(keras.layers.Layer):  # type: ignore[misc] # Keras has no types
    """Turns, moves and scales each image in one go.

    Keras's own three layers interpolate three times over, which blurs and takes two to four times
    as long; and they keep JAX from compiling the model that they are in.

    Args:
        augmentation: the bounds of what is drawn.
        seed: of the draws.
    """

    def __init__(self, augmentation: Augmentation, seed: int) -> None:
        super().__init__(dtype="float32")
        self.augmentation = augmentation
        self.seed_generator = keras.random.SeedGenerator(seed)
        # XLA does not know TensorFlow's kernel.
        self.supports_jit = keras.backend.backend() != "tensorflow"

    def call(self, images: Any) -> Any:
        """Images float32 (batch, height, width, channels) to the same."""
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
