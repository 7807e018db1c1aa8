"""A registered model with loss, metrics and callbacks, for tests."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

val_losses: list[float] = []


class Record(keras.callbacks.Callback):  # type: ignore[misc]  # Keras is untyped here
    """Appends the validation loss of each epoch."""

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        val_losses.append(logs["val_loss"])


def build(image_shape: tuple[int, int, int], classes: int, dropout: float = 0.25) -> keras.Model:
    image = keras.Input(image_shape)
    x = layers.Conv2D(4, 3, strides=2, activation="relu")(image)
    x = layers.Reshape((-1, 4))(x)
    x = layers.MultiHeadAttention(1, 4)(x, x)
    x = layers.Dropout(dropout)(layers.GlobalAveragePooling1D()(x))
    return keras.Model(image, layers.Dense(classes)(x))


def scale(images: Any) -> Any:
    return ops.cast(images, "float32") / 127.5 - 1


build.preprocess = scale  # type: ignore[attr-defined]


def top_2() -> keras.metrics.Metric:
    return keras.metrics.SparseTopKCategoricalAccuracy(k=2, name="top_2")


LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
