"""The one decoder: images as records hold them to the uint8 pixels that a model is fed.

Training, evaluation and prediction all decode here, so none can differ from another. JPEG with the
accurate inverse DCT, which gives Pillow's bits; then bilinear, without antialiasing (as Keras's
`image_dataset_from_directory`; antialiasing would halve the speed of the whole input); rounded to
uint8, a quarter of float32's memory in batches, caches and on the way to a GPU. An image that has
the model's size already is not changed by any of this but decoded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import tensorflow as tf

if TYPE_CHECKING:
    from records.images import ImageOptions
    from trainers.config import ImageShape

VERSION = 1
"""Raised when the same bytes give other pixels: caches of decoded images are of one version."""


def decode_images(encoded: tf.Tensor, options: ImageOptions, shape: ImageShape) -> tf.Tensor:
    """A batch of images as they are stored to pixels.

    Args:
        encoded: strings (batch,), each the `image/encoded` of a record.
        options: those the images were stored by.
        shape: what the model is fed.

    Returns:
        uint8 (batch, height, width, channels).

    Raises:
        tf.errors.InvalidArgumentError: an image does not decode.
    """
    if options.store == "raw":
        return _decode_raw(encoded, options, shape)
    return tf.map_fn(
        lambda image: _decode_compressed(image, options, shape),
        encoded,
        fn_output_signature=tf.TensorSpec(shape.array_shape, tf.uint8),
    )


def _decode_compressed(encoded: tf.Tensor, options: ImageOptions, shape: ImageShape) -> tf.Tensor:
    # TensorFlow's JPEG kernel reads PNG as well, so nothing needs to branch on the format.
    pixels = tf.io.decode_jpeg(encoded, channels=shape.channels, dct_method="INTEGER_ACCURATE")
    return _resize(pixels, options, shape)


def _decode_raw(encoded: tf.Tensor, options: ImageOptions, shape: ImageShape) -> tf.Tensor:
    if options.resize is None:
        raise ValueError("raw images have a size; ImageOptions.validate sees to that")
    width, height = options.resize
    samples = tf.io.decode_raw(encoded, tf.uint8)
    pixels = tf.reshape(samples, (-1, height, width, options.channels))
    if options.channels < shape.channels:
        pixels = tf.image.grayscale_to_rgb(pixels)
    elif options.channels > shape.channels:
        pixels = tf.image.rgb_to_grayscale(pixels)
    return _resize(pixels, options, shape)


def _resize(pixels: tf.Tensor, options: ImageOptions, shape: ImageShape) -> tf.Tensor:
    if options.resize == (shape.width_px, shape.height_px):
        return tf.ensure_shape(pixels, (*pixels.shape[:-3], *shape.array_shape))
    size = (shape.height_px, shape.width_px)
    resized = tf.image.resize(pixels, size, method="bilinear", antialias=False)
    return tf.cast(tf.round(resized), tf.uint8)
