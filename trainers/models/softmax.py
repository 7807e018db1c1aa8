"""What leaves this program says probabilities, not logits."""

from __future__ import annotations

import keras


def add_softmax(model: keras.Model) -> keras.Model:
    """A model from logits (batch, classes) to their probabilities, float32."""
    softmax = keras.layers.Softmax(dtype="float32", name="probabilities")
    return keras.Model(model.input, softmax(model.output), name=model.name)
