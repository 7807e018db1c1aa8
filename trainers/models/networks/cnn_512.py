"""`cnn-512`: `cnn` with a wide dense layer.

The network comes from the TensorFlow tutorial on cats and dogs. `architecture.dropout` is the rate
of the dropout after the first and the last pooling.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
from keras import layers, ops

from trainers.models.build import Network, convolve_and_pool, dense, dropout, logits, open_image

if TYPE_CHECKING:
    from trainers.config import Architecture

_DENSE_UNITS = 512


def build(architecture: Architecture) -> Network:
    """Return the network from uint8 (batch, *shape) to logits (batch, classes)."""
    image, x = open_image(architecture)
    x = dropout(convolve_and_pool(x, 16, architecture), architecture.dropout)
    x = convolve_and_pool(x, 32, architecture)
    x = dropout(convolve_and_pool(x, 64, architecture), architecture.dropout)
    x = dense(layers.Flatten()(x), _DENSE_UNITS, architecture)
    return Network(keras.Model(image, _score(x, architecture), name="cnn_512"))


def _score(x: keras.KerasTensor, architecture: Architecture) -> keras.KerasTensor:
    if architecture.classes != 2 or architecture.task != "classification":
        return logits(x, architecture.classes, architecture)
    # A single logit z becomes the pair (0, z): its softmax is sigmoid(z), and its categorical
    # cross-entropy equals the binary cross-entropy of z. So no other code needs a special case.
    return ops.pad(logits(x, 1, architecture), ((0, 0), (1, 0)))
