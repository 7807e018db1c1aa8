"""MixUp and CutMix: images and labels mixed with others of their batch.

A model that mixes gets the labels as a second input, and returns the mixed labels next to the
logits, because the loss needs them. In validation, nothing is mixed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
from keras import ops

from trainers.augment.layers import derive_seeds

if TYPE_CHECKING:
    import tensorflow as tf
    from numpy.typing import NDArray

    from trainers.options import Augmentation


class Mixer(keras.layers.Layer):  # type: ignore[misc] # Keras has no types
    """Mixes each image of a batch with another one, by MixUp, by CutMix or by either of them.

    Args:
        augmentation: the parameters; if it has both, each has the probability 1/2 for each image.
        classes: the number of classes.
        seed: the seed from which the layers derive their own seeds.
    """

    def __init__(self, augmentation: Augmentation, classes: int, seed: int) -> None:
        super().__init__(dtype="float32", name="mixer")
        seeds = derive_seeds(seed)
        options: dict[str, Any] = {"data_format": "channels_last", "dtype": "float32"}
        self.classes = classes
        self.mixers: list[keras.layers.Layer] = []
        if alpha := augmentation.mixup:
            self.mixers.append(keras.layers.MixUp(alpha, seed=seeds["mixup"], **options))
        if alpha := augmentation.cutmix:
            # Given a single factor, Keras would draw the parameter too, from 0 to the factor.
            both = (alpha, alpha)
            self.mixers.append(keras.layers.CutMix(both, seed=seeds["cutmix"], **options))
        self.seed_generator = keras.random.SeedGenerator(seeds["mixer"])
        # XLA does not support the gamma distribution of TensorFlow.
        self.supports_jit = keras.backend.backend() != "tensorflow"

    def build(self, images_shape: tuple[int | None, ...], labels_shape: Any) -> None:
        """Build the layers."""
        for layer in self.mixers:
            layer.build({"images": images_shape, "labels": labels_shape})

    def call(self, images: Any, labels: Any, training: bool = False) -> tuple[Any, Any]:
        """Return images of the same type, and the probabilities of their labels.

        Args:
            images: uint8 (batch, height, width, channels).
            labels: int (batch,), or multi-hot (batch, classes).
            training: whether to mix.

        Returns:
            uint8 (batch, height, width, channels), and float32 (batch, classes).
        """
        one_hot = len(labels.shape) == 1
        truth = ops.one_hot(labels, self.classes) if one_hot else ops.cast(labels, "float32")
        if not training:
            return images, truth
        pixels = ops.cast(images, "float32")
        mixed, shares = self._mix(pixels, truth)
        # TensorFlow draws a number from a beta distribution as a quotient of two numbers. Both may
        # be 0 if the parameter is close to 0.
        is_mixed = ops.isfinite(ops.sum(shares, axis=-1, keepdims=True))
        mixed = ops.where(ops.reshape(is_mixed, (-1, 1, 1, 1)), mixed, pixels)
        shares = ops.where(is_mixed, shares, truth)
        return ops.cast(ops.round(ops.clip(mixed, 0, 255)), "uint8"), shares

    def _mix(self, pixels: Any, truth: Any) -> tuple[Any, Any]:
        results = [layer({"images": pixels, "labels": truth}) for layer in self.mixers]
        first, last = results[0], results[-1]
        if first is last:
            return first["images"], first["labels"]
        count = ops.shape(pixels)[0]
        draws = keras.random.uniform((count, 1), dtype="float32", seed=self.seed_generator)
        is_first = draws < 0.5
        images = ops.where(ops.reshape(is_first, (-1, 1, 1, 1)), first["images"], last["images"])
        return images, ops.where(is_first, first["labels"], last["labels"])


class MixingModel(keras.Model):  # type: ignore[misc]
    """A model of images and labels, whose loss and metrics use the mixed labels.

    The outputs are logits (batch, classes) and mixed labels (batch, classes).

    Attributes:
        class_weights: the weight of each class in the loss of a training step, float32 (classes,);
            None for equal weights.
    """

    class_weights: NDArray[Any] | None = None

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,  # noqa: ARG002
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """Return the loss of the mixed labels."""
        logits, labels = y_pred
        if training and self.class_weights is not None:
            labels = labels * self.class_weights
        return super().compute_loss(x, labels, logits, sample_weight, training=training)

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:  # noqa: ARG002
        """Update the metrics with the mixed labels, and return them."""
        logits, labels = y_pred
        return super().compute_metrics(x, labels, logits, sample_weight)


def with_label_inputs(batches: tf.data.Dataset) -> tf.data.Dataset:
    """Return batches of images and labels with the labels also as the second input of a model."""
    import tensorflow as tf

    def add_labels(images: tf.Tensor, labels: tf.Tensor) -> Any:
        return (images, labels), labels

    return batches.map(tf.autograph.experimental.do_not_convert(add_labels))
