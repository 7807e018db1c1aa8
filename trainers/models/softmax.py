"""Softmax for exported models, which return probabilities instead of logits."""

from __future__ import annotations

import keras


def add_softmax(model: keras.Model) -> keras.Model:
    """Return the model with probabilities (batch, classes), float32, instead of logits."""
    softmax = keras.layers.Softmax(dtype="float32", name="probabilities")
    return keras.Model(model.input, softmax(model.output), name=model.name)
