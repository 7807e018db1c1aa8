"""Epochs of Keras' `image_dataset_from_directory`: `keras_reader.py MODE SOURCE EPOCHS CACHE`."""

import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import tensorflow as tf
from epochs import BATCH_SIZE, WORKERS, time_epochs

_SIDE_PX = 224
_WIDER_SIDE_PX = 256


def main(mode: str, source: str, epochs: str, _cache: str) -> None:
    """Read the class folders; all crops have one size, as Keras has no random resized crop."""
    side_px = _WIDER_SIDE_PX if mode == "crops" else _SIDE_PX
    batches = keras.utils.image_dataset_from_directory(
        source, image_size=(side_px, side_px), batch_size=BATCH_SIZE, seed=0, verbose=0
    )
    if mode == "crops":
        batches = batches.map(crop, num_parallel_calls=WORKERS).prefetch(tf.data.AUTOTUNE)
    time_epochs(int(epochs), lambda: (len(labels) for _, labels in batches))


def crop(images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return a random crop of 224×224 pixels of each image; half of the crops are flipped."""
    return _FLIP(_CROP(images, training=True), training=True), labels


_CROP = keras.layers.RandomCrop(_SIDE_PX, _SIDE_PX)
_FLIP = keras.layers.RandomFlip("horizontal")

if __name__ == "__main__":
    main(*sys.argv[1:])
