"""`cnn-bn`: a small network with batch normalization, for small images.

This architecture is common for MNIST. The 3 × 3 convolutions do not pad, the 5 × 5 convolution
pads: a side of 28 pixels becomes 26, 13, 11, 5 and 3. Both sides need at least 10 pixels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
from keras import layers

from trainers.models.build import Network, conv, dense, dropout, logits, open_image

if TYPE_CHECKING:
    from trainers.config import Architecture

_FILTERS = 32
_DENSE_UNITS = 128
_DROPOUT = 0.4


def build(architecture: Architecture) -> Network:
    """Return the network from uint8 (batch, *shape) to logits (batch, classes)."""
    image, x = open_image(architecture)
    for _ in range(2):
        x = layers.MaxPooling2D()(conv(x, _FILTERS, 3, architecture, padding="valid"))
    x = layers.BatchNormalization()(conv(x, _FILTERS, 5, architecture, stride=2))
    rate = _DROPOUT if architecture.dropout is None else architecture.dropout
    x = dense(layers.Flatten()(dropout(x, rate)), _DENSE_UNITS, architecture)
    return Network(keras.Model(image, logits(x, architecture.classes, architecture), name="cnn_bn"))
