"""What `convert` does to an image file, done again by TensorFlow, as far as it can.

Grey and RGB, JPEG and PNG, upright and opaque, become the same pixels to the bit. What TensorFlow
does not know of is left out: turning by EXIF, transparency, CMYK, other formats.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import tensorflow as tf

from trainers.decoder import decode_images
from trainers.export.resampling import resample

if TYPE_CHECKING:
    from records.images import ImageOptions
    from trainers.config import ImageShape

_DCT = "INTEGER_ACCURATE"
# ITU-R 601 in 16 bits, as Pillow makes grey of RGB.
_GREY_WEIGHTS = (19595, 38470, 7471)


def prepare_images(encoded: tf.Tensor, options: ImageOptions, shape: ImageShape) -> tf.Tensor:
    """A batch of image files to what the model is fed.

    Args:
        encoded: strings (batch,), each a whole JPEG or PNG file.
        options: those the dataset's images were made by.
        shape: what the model is fed.

    Returns:
        uint8 (batch, height, width, channels).
    """
    # Raw samples are what a PNG file decodes to.
    stored_as = "png" if options.store == "raw" else options.store
    options = msgspec.structs.replace(options, store=stored_as)
    if options.resize is not None or options.channels == 1 or stored_as == "jpeg":
        encoded = tf.map_fn(lambda image: _store(image, options), encoded)
    return decode_images(encoded, options, shape)


def _store(image: tf.Tensor, options: ImageOptions) -> tf.Tensor:
    """An image file to the JPEG or PNG that a record would hold."""

    def encode_png() -> tf.Tensor:
        return tf.io.encode_png(_change(image, options))

    def encode_jpeg() -> tf.Tensor:
        return tf.io.encode_jpeg(
            _change(image, options), quality=options.jpeg_quality, chroma_downsampling=False
        )

    def keep_jpeg() -> tf.Tensor:
        return tf.cond(_is_kept(image, options), lambda: image, encode_jpeg)

    if options.store == "png":
        return encode_png()
    return tf.cond(
        tf.io.is_jpeg(image), keep_jpeg, encode_jpeg if options.store == "jpeg" else encode_png
    )


def _is_kept(jpeg: tf.Tensor, options: ImageOptions) -> tf.Tensor:
    """Whether a JPEG needs no change, and is stored byte for byte."""
    height, width, channels = tf.unstack(tf.io.extract_jpeg_shape(jpeg))
    kept = channels <= options.channels
    if options.resize is not None:
        kept &= (width == options.resize[0]) & (height == options.resize[1])
    return kept


def _change(image: tf.Tensor, options: ImageOptions) -> tf.Tensor:
    """The pixels that are stored, uint8 (height, width, channels)."""
    pixels = tf.io.decode_jpeg(image, channels=3, dct_method=_DCT)
    if options.channels == 1:
        pixels = _to_grey(pixels)
    if options.resize is None:
        return pixels
    size = tf.constant(options.resize[::-1])
    if options.fit == "pad":
        return _pad(pixels, size, options)
    box = _middle(pixels, size) if options.fit == "crop" else _whole(pixels)
    return resample(pixels, size, box)


def _to_grey(pixels: tf.Tensor) -> tf.Tensor:
    weighted = tf.reduce_sum(tf.cast(pixels, tf.int32) * _GREY_WEIGHTS, axis=-1, keepdims=True)
    return tf.cast(tf.bitwise.right_shift(weighted + (1 << 15), 16), tf.uint8)


def _whole(pixels: tf.Tensor) -> tf.Tensor:
    """The box of the whole image: top, left, bottom, right."""
    return tf.concat([tf.zeros(2), tf.cast(tf.shape(pixels)[:2], tf.float32)], axis=0)


def _middle(pixels: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """The box of the largest middle part with the aspect ratio of `size`."""
    source = tf.cast(tf.shape(pixels)[:2], tf.float64)
    inner = _largest(tf.cast(size, tf.float64), source)
    begin = (source - inner) / 2
    box = tf.concat([tf.maximum(begin, 0), tf.minimum(begin + inner, source)], axis=0)
    return tf.cast(box, tf.float32)


def _pad(pixels: tf.Tensor, size: tf.Tensor, options: ImageOptions) -> tf.Tensor:
    """The whole image as large as it fits `size`, in the middle of the background."""
    source = tf.cast(tf.shape(pixels)[:2], tf.float64)
    inner = tf.cast(tf.round(_largest(source, tf.cast(size, tf.float64))), tf.int32)
    inner = tf.clip_by_value(inner, 1, size)
    image = tf.cast(resample(pixels, inner, _whole(pixels)), tf.int32)
    background = tf.constant([[options.background_rgb]], tf.uint8)
    if options.channels == 1:
        background = _to_grey(background)
    background = tf.cast(background, tf.int32)
    before = (size - inner) // 2
    margins = tf.stack([before, size - inner - before], axis=1)
    # What lies around is 0 where the background has been taken away.
    padded = tf.pad(image - background, tf.concat([margins, [[0, 0]]], axis=0)) + background
    return tf.cast(padded, tf.uint8)


def _largest(shape: tf.Tensor, within: tf.Tensor) -> tf.Tensor:
    """Height and width of the largest of this aspect ratio within others."""
    return shape * tf.reduce_min(within / shape)
