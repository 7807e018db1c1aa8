"""`cnn`: three blocks of convolution and pooling, small enough to train on a laptop.

The image classification tutorial of Keras and TensorFlow, without its augmentation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
from keras import layers

from trainers.models.network import Network

if TYPE_CHECKING:
    from trainers.config import Architecture

_FILTERS = (16, 32, 64)
_DENSE_UNITS = 128


def build(architecture: Architecture) -> Network:
    """uint8 (batch, *shape) to logits (batch, classes)."""
    image = keras.Input(architecture.shape.array_shape, dtype="uint8", name="image")
    x = layers.Rescaling(1 / 255)(image)
    for filters in _FILTERS:
        x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
        x = layers.MaxPooling2D()(x)
    x = layers.Flatten()(x)
    x = layers.Dense(_DENSE_UNITS, activation="relu")(x)
    logits = layers.Dense(architecture.classes, dtype="float32", name="logits")(x)
    return Network(keras.Model(image, logits, name="cnn"))
