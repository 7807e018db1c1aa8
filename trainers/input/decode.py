"""The one decoder: images as records hold them to the uint8 pixels that a model is fed.

Training, evaluation and prediction all decode here, so none can differ from another. JPEG with the
accurate inverse DCT, which gives Pillow's bits; then bilinear, without antialiasing (as Keras's
`image_dataset_from_directory`; antialiasing would halve the speed of the whole input); rounded to
uint8, a quarter of float32's memory in batches, caches and on the way to a GPU. An image that has
the model's size already is not changed by any of this but decoded.

Random crops are cut out while decoding: what lies outside in a JPEG never becomes pixels. What lies
inside has the bits that it has in the whole image.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import tensorflow as tf

from trainers.input.random_crop import sample_crop_box

if TYPE_CHECKING:
    from records.images import ImageOptions
    from trainers.config import ImageShape

VERSION = 1
"""Raised when the same bytes give other pixels: caches of decoded images are of one version."""

_DCT = "INTEGER_ACCURATE"
# So far beyond a pixel looks libjpeg where colours are stored at half the size; not beyond a crop.
_COLOR_REACH_PX = 2


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
    """A random window (`trainers.input.random_crop`) of each image of a batch, at the model's size.

    Args:
        encoded: strings (batch,), each the `image/encoded` of a record.
        options: those the images were stored by.
        shape: what the model is fed.
        min_area: the least part of an image's area that its window has, in (0, 1].
        seeds: int64 (batch, 2), all that chance depends on.

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
    # TensorFlow's JPEG kernel reads PNG as well, so nothing needs to branch on the format.
    return tf.io.decode_jpeg(image, channels=shape.channels, dct_method=_DCT)


def _decode_raw(encoded: tf.Tensor, options: ImageOptions, shape: ImageShape) -> tf.Tensor:
    if options.resize is None:
        raise ValueError("raw images have a size; ImageOptions.validate sees to that")
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
    """The pixels of a JPEG that lie in `window`: top, left, height, width."""
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
    """Resized, where images are not stored at the model's size."""
    if options.resize == (shape.width_px, shape.height_px):
        return tf.ensure_shape(pixels, (*pixels.shape[:-3], *shape.array_shape))
    return _resize(pixels, shape)


def _resize(pixels: tf.Tensor, shape: ImageShape) -> tf.Tensor:
    size = (shape.height_px, shape.width_px)
    resized = tf.image.resize(pixels, size, method="bilinear", antialias=False)
    return tf.cast(tf.round(resized), tf.uint8)
