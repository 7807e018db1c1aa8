"""Class activation maps: the support for a class, by place.

The method is HiResCAM (R. Draelos, L. Carin, "Use HiResCAM instead of Grad-CAM for faithful
explanations of convolutional neural networks", 2020): the last convolutional map is multiplied by
the gradient of the logit of the class, and summed over the channels. For a network with average
pooling and one linear layer, the result equals that of CAM and of Grad-CAM.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import layers, ops

from records.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BEHIND_MAP = (
    layers.AveragePooling2D,
    layers.Dropout,
    layers.Flatten,
    layers.GlobalAveragePooling2D,
    layers.GlobalMaxPooling2D,
    layers.MaxPooling2D,
    layers.SpatialDropout2D,
)
"""The layers that may follow the last convolutional map."""
_CONVOLUTIONS = (
    keras.Model,  # a backbone
    layers.Conv2D,
    layers.DepthwiseConv2D,
    layers.SeparableConv2D,
)


class ClassActivation:
    """The class activation maps of a model.

    Args:
        model: a functional model from uint8 (batch, height, width, channels) to logits (batch,
            outputs), with a convolutional map.

    Raises:
        UsageError: the model has no convolutional map, or the Keras backend has no gradients that
            this class can use.
    """

    def __init__(self, model: keras.Model) -> None:
        backend = keras.backend.backend()
        if backend not in _GRADIENTS:
            raise UsageError(
                "class activation maps need the backend tensorflow or jax",
                got=backend,
                hint="set KERAS_BACKEND=tensorflow",
            )
        self._gradients = _GRADIENTS[backend]
        self._size = model.input_shape[1:3]
        feature_map = _find_map(model)
        self._features = keras.Model(model.input, feature_map)
        self._head = keras.Model(feature_map, model.output)

    def maps(self, images: NDArray[np.uint8], outputs: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the maps of one output for each image, at the size of the images.

        Args:
            images: uint8 (batch, height, width, channels).
            outputs: the number of the output to explain, such as the predicted label, (batch,).

        Returns:
            float32 (batch, height, width), 0 to 1; the highest value of each map is 1, or 0 if no
            place supports the output.
        """
        feature_map = self._features(images, training=False)
        gradients = self._gradients(self._head, feature_map, outputs)
        support = ops.relu(self.combine(feature_map, gradients))
        resized = ops.image.resize(support, self._size, interpolation="bilinear")
        found = ops.convert_to_numpy(resized)[..., 0]
        highest = found.max(axis=(1, 2), keepdims=True)
        return np.asarray(found / np.where(highest > 0, highest, 1), np.float32)

    def combine(self, feature_map: Any, gradients: Any) -> Any:
        """Return the support of each place, before negative support is dropped.

        Args:
            feature_map: the last convolutional map, float (batch, rows, columns, channels).
            gradients: the gradients of the logits by the map, of the same shape.

        Returns:
            float32 (batch, rows, columns, 1).
        """
        product = ops.cast(feature_map, "float32") * ops.cast(gradients, "float32")
        return ops.sum(product, axis=-1, keepdims=True)


def _find_map(model: keras.Model) -> keras.KerasTensor:
    """Return the last convolutional map, before it is pooled. Raises UsageError."""
    found = None
    every = getattr(model, "layers", [])
    for layer in reversed(every):
        # The input of the next layer, because the output of a backbone is in another graph.
        if isinstance(layer, _BEHIND_MAP) and len(layer.input.shape) == 4:
            found = layer.input
        elif found is not None:
            break
    if found is None or not any(isinstance(layer, _CONVOLUTIONS) for layer in every):
        raise UsageError(
            "the model has no convolutional map to explain a prediction with",
            got=model.name,
            expected="a functional model with convolutions, and pooling or Flatten after them",
        )
    return found


def _logits(head: keras.Model, feature_map: Any, outputs: Any) -> Any:
    """Return the sum of one logit of each image."""
    chosen = ops.one_hot(outputs, head.output_shape[-1], dtype="float32")
    return ops.sum(ops.cast(head(feature_map, training=False), "float32") * chosen)


def _tensorflow_gradients(head: keras.Model, feature_map: Any, outputs: Any) -> Any:
    import tensorflow as tf

    with tf.GradientTape() as tape:
        tape.watch(feature_map)
        total = _logits(head, feature_map, outputs)
    return tape.gradient(total, feature_map)


def _jax_gradients(head: keras.Model, feature_map: Any, outputs: Any) -> Any:
    import jax

    return jax.grad(lambda values: _logits(head, values, outputs))(feature_map)


_GRADIENTS = {"tensorflow": _tensorflow_gradients, "jax": _jax_gradients}
