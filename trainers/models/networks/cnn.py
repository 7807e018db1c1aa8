"""`cnn`: three blocks of convolution and pooling, small enough for a laptop.

The network comes from the image classification tutorial of Keras and TensorFlow, without
augmentation. `architecture.dropout` is the dropout rate.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
from keras import layers

from trainers.models.build import Network, convolve_and_pool, dense, dropout, logits, open_image

if TYPE_CHECKING:
    from trainers.config import Architecture

_FILTERS = (16, 32, 64)
_DENSE_UNITS = 128


def build(architecture: Architecture) -> Network:
    """Return the network from uint8 (batch, *shape) to logits (batch, classes)."""
    image, x = open_image(architecture)
    for filters in _FILTERS:
        x = convolve_and_pool(x, filters, architecture)
    x = layers.Flatten()(dropout(x, architecture.dropout))
    x = dense(x, _DENSE_UNITS, architecture)
    return Network(keras.Model(image, logits(x, architecture.classes, architecture), name="cnn"))
