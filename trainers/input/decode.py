"""Decoding of images to uint8 at the input size of the model.

Training, evaluation and prediction use this decoder, so that they see identical pixels. JPEG is
decoded with the accurate inverse DCT, which gives the same pixel values as Pillow. Resizing is
bilinear without antialiasing, as in `keras.utils.image_dataset_from_directory`; antialiasing would
halve the throughput of the input pipeline. The result is rounded to uint8. In batches, caches and
transfers to a GPU, uint8 needs a quarter of the memory of float32. An image that already has the
input size of the model is not resized.

Random crops are cut during decoding: pixels of a JPEG outside the crop are never computed. Pixels
inside the crop have the same values as if the whole image were decoded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import tensorflow as tf

from trainers.input.random_crop import sample_crop_box

if TYPE_CHECKING:
    from records.images import ImageOptions
    from trainers.config import ImageShape

VERSION = 1
"""Increased when the same bytes give different pixels; part of the key of caches."""

_DCT = "INTEGER_ACCURATE"
# If the color channels of a JPEG are subsampled, libjpeg computes a pixel from its neighbors up to
# this distance, but never from pixels outside the region that it decodes.
_COLOR_REACH_PX = 2


def decode_images(encoded: tf.Tensor, options: ImageOptions, shape: ImageShape) -> tf.Tensor:
    """Return the pixels of a batch of stored images.

    Args:
        encoded: the `image/encoded` of each record, strings (batch,).
        options: the image options of the dataset.
        shape: the shape of the images that the model receives.

    Returns:
        uint8 (batch, height, width, channels).

    Raises:
        tf.errors.InvalidArgumentError: an image does not decode.
    """
    if options.store == "raw":
        return _fit(_decode_raw(encoded, options, shape), options, shape)
    return tf.map_fn(
        lambda image: _fit(_decode_compressed(image, shape), options, shape),
        encoded,
        fn_output_signature=tf.TensorSpec(shape.array_shape, tf.uint8),
    )


def decode_crops(
    encoded: tf.Tensor,
    options: ImageOptions,
    shape: ImageShape,
    min_area: float,
    seeds: tf.Tensor,
) -> tf.Tensor:
    """Return a random crop of each image, resized to `shape`; see `trainers.input.random_crop`.

    Args:
        encoded: the `image/encoded` of each record, strings (batch,).
        options: the image options of the dataset.
        shape: the shape of the images that the model receives.
        min_area: the smallest fraction of the area of an image that a crop covers, in (0, 1].
        seeds: the seeds that determine the crops, int64 (batch, 2).

    Returns:
        uint8 (batch, height, width, channels).

    Raises:
        tf.errors.InvalidArgumentError: an image does not decode.
    """

    def crop(image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        def cut(pixels: tf.Tensor) -> tf.Tensor:
            window = sample_crop_box(tf.shape(pixels)[:2], min_area, seed)
            return _slice(pixels, window)

        def cut_jpeg() -> tf.Tensor:
            size = tf.io.extract_jpeg_shape(image)[:2]
            return _decode_window(image, size, sample_crop_box(size, min_area, seed), shape)

        if options.store == "raw":
            window = cut(_decode_raw(image, options, shape)[0])
        else:
            window = tf.cond(
                tf.io.is_jpeg(image), cut_jpeg, lambda: cut(_decode_compressed(image, shape))
            )
        return _resize(window, shape)

    return tf.map_fn(
        lambda pair: crop(*pair),
        (encoded, seeds),
        fn_output_signature=tf.TensorSpec(shape.array_shape, tf.uint8),
    )


def _decode_compressed(image: tf.Tensor, shape: ImageShape) -> tf.Tensor:
    # The JPEG kernel of TensorFlow also reads PNG, so no branch on the format is needed.
    return tf.io.decode_jpeg(image, channels=shape.channels, dct_method=_DCT)


def _decode_raw(encoded: tf.Tensor, options: ImageOptions, shape: ImageShape) -> tf.Tensor:
    if options.resize is None:
        raise ValueError("raw images have a size; ImageOptions.validate checks this")
    width, height = options.resize
    samples = tf.io.decode_raw(encoded, tf.uint8)
    pixels = tf.reshape(samples, (-1, height, width, options.channels))
    if options.channels < shape.channels:
        return tf.image.grayscale_to_rgb(pixels)
    if options.channels > shape.channels:
        return tf.image.rgb_to_grayscale(pixels)
    return pixels


def _decode_window(
    image: tf.Tensor, size: tf.Tensor, window: tf.Tensor, shape: ImageShape
) -> tf.Tensor:
    """Return the pixels of a JPEG in `window`: top, left, height, width."""
    begin, end = window[:2], window[:2] + window[2:]
    wider_begin = tf.maximum(begin - _COLOR_REACH_PX, 0)
    wider_end = tf.minimum(end + _COLOR_REACH_PX, size)
    pixels = tf.image.decode_and_crop_jpeg(
        image,
        tf.concat([wider_begin, wider_end - wider_begin], axis=0),
        channels=shape.channels,
        dct_method=_DCT,
    )
    return _slice(pixels, tf.concat([begin - wider_begin, window[2:]], axis=0))


def _slice(pixels: tf.Tensor, window: tf.Tensor) -> tf.Tensor:
    top, left, height, width = tf.unstack(window)
    return pixels[top : top + height, left : left + width]


def _fit(pixels: tf.Tensor, options: ImageOptions, shape: ImageShape) -> tf.Tensor:
    """Return the pixels at the input size of the model; resize unless all have this size."""
    if options.resize == (shape.width_px, shape.height_px):
        return tf.ensure_shape(pixels, (*pixels.shape[:-3], *shape.array_shape))
    return _resize(pixels, shape)


def _resize(pixels: tf.Tensor, shape: ImageShape) -> tf.Tensor:
    size = (shape.height_px, shape.width_px)
    resized = tf.image.resize(pixels, size, method="bilinear", antialias=False)
    return tf.cast(tf.round(resized), tf.uint8)
