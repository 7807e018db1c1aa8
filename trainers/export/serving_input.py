"""Image normalization of `convert` as TensorFlow operations.

For JPEG and PNG files that are grey or RGB, upright and opaque, the pixels are equal to those of
`convert`, bit for bit. TensorFlow does not support EXIF orientation, transparency, CMYK and other
formats.

`resample` gives the result of Pillow's antialiased bilinear resize, bit for bit. TensorFlow's
antialiased resize rounds only once, at the end, so some pixels would differ by one level, and after
JPEG compression by up to twenty. `resample` rounds as Pillow does (`Resample.c`): the weights to 22
bits, and the results of both passes, the horizontal and the vertical, to 8 bits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import tensorflow as tf

from trainers.config import DECODER
from trainers.input.decode import decode_images, decode_jpeg, switch_ratio

if TYPE_CHECKING:
    from records.images import ImageOptions
    from trainers.config import ImageShape


# ITU-R 601 in 16 bits, as in the conversion of RGB to grey in Pillow.
_GREY_WEIGHTS = (19595, 38470, 7471)


def prepare_images(
    encoded: tf.Tensor, options: ImageOptions, shape: ImageShape, decoder: int = DECODER
) -> tf.Tensor:
    """Return the input of the model for a batch of image files.

    Args:
        encoded: strings (batch,), each a whole JPEG or PNG file.
        options: the image options of the dataset.
        shape: the shape of the input images of the model.
        decoder: the version of the decoder with which the model was trained.

    Returns:
        uint8 (batch, height, width, channels).
    """
    # PNG is lossless: a PNG file decodes to the samples that `--store raw` stores.
    stored_as = "png" if options.store in {"raw", "mixed"} else options.store
    options = msgspec.structs.replace(options, store=stored_as)
    if options.resize is not None or options.channels == 1 or stored_as == "jpeg":
        encoded = tf.map_fn(lambda image: _store(image, options), encoded)
    return decode_images(encoded, options, shape, decoder)


def _store(image: tf.Tensor, options: ImageOptions) -> tf.Tensor:
    """Return the JPEG or PNG file that a record of this image would contain."""

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
    """Return whether a JPEG file is stored unchanged."""
    height, width, channels = tf.unstack(tf.io.extract_jpeg_shape(jpeg))
    kept = channels <= options.channels
    if options.resize is not None:
        kept &= (width == options.resize[0]) & (height == options.resize[1])
    return kept


def _change(image: tf.Tensor, options: ImageOptions) -> tf.Tensor:
    """Return the pixels of the stored image, uint8 (height, width, channels)."""
    if options.resize is None:
        return _decode(image, 1, options)
    size = tf.constant(options.resize[::-1])
    pixels, sides = _decode_to_resize(image, size, options)
    if options.fit == "pad":
        return _pad(pixels, sides, size, options)
    return resample(pixels, size, _middle(sides, size) if options.fit == "crop" else _whole(sides))


def _decode(image: tf.Tensor, ratio: int, options: ImageOptions) -> tf.Tensor:
    pixels = decode_jpeg(image, ratio, channels=3)
    return _to_grey(pixels) if options.channels == 1 else pixels


def _decode_to_resize(
    image: tf.Tensor, size: tf.Tensor, options: ImageOptions
) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the pixels of an image, and the height and width of the picture in them, float64 (2,).

    A side of a JPEG that the ratio of its decoding does not divide ends inside the last pixel.
    """
    if not options.scaled_decode:
        pixels = _decode(image, 1, options)
        return pixels, tf.cast(tf.shape(pixels)[:2], tf.float64)
    jpeg_size = tf.cond(
        tf.io.is_jpeg(image),
        lambda: tf.io.extract_jpeg_shape(image)[:2],
        lambda: tf.zeros(2, tf.int32),
    )
    picture = size
    if options.fit == "pad":
        picture = _fit_inside(tf.cast(jpeg_size, tf.float64), size)
    pixels, ratio = switch_ratio(
        tf.reduce_min(jpeg_size // (2 * picture)),
        lambda ratio: (_decode(image, ratio, options), tf.constant(ratio)),
    )
    source = tf.where(ratio > 1, jpeg_size, tf.shape(pixels)[:2])
    return pixels, source / ratio


def _to_grey(pixels: tf.Tensor) -> tf.Tensor:
    weighted = tf.reduce_sum(tf.cast(pixels, tf.int32) * _GREY_WEIGHTS, axis=-1, keepdims=True)
    return tf.cast(tf.bitwise.right_shift(weighted + (1 << 15), 16), tf.uint8)


def _whole(sides: tf.Tensor) -> tf.Tensor:
    """Return the box of a picture with this height and width: top, left, bottom, right."""
    return tf.cast(tf.concat([tf.zeros(2, tf.float64), sides], axis=0), tf.float32)


def _middle(sides: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """Return the box of the largest centered part with the aspect ratio of `size`."""
    inner = _largest(tf.cast(size, tf.float64), sides)
    begin = (sides - inner) / 2
    box = tf.concat([tf.maximum(begin, 0), tf.minimum(begin + inner, sides)], axis=0)
    return tf.cast(box, tf.float32)


def _pad(pixels: tf.Tensor, sides: tf.Tensor, size: tf.Tensor, options: ImageOptions) -> tf.Tensor:
    """Return the whole picture, scaled to fit into `size` and centered on the background."""
    inner = _fit_inside(sides, size)
    image = tf.cast(resample(pixels, inner, _whole(sides)), tf.int32)
    background = tf.constant([[options.background_rgb]], tf.uint8)
    if options.channels == 1:
        background = _to_grey(background)
    background = tf.cast(background, tf.int32)
    before = (size - inner) // 2
    margins = tf.stack([before, size - inner - before], axis=1)
    # The margins are 0 until the background is added.
    padded = tf.pad(image - background, tf.concat([margins, [[0, 0]]], axis=0)) + background
    return tf.cast(padded, tf.uint8)


def _fit_inside(sides: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """Return the largest int32 height and width inside `size` with the aspect ratio of `sides`."""
    inner = tf.cast(tf.round(_largest(sides, tf.cast(size, tf.float64))), tf.int32)
    return tf.clip_by_value(inner, 1, size)


def _largest(shape: tf.Tensor, within: tf.Tensor) -> tf.Tensor:
    """Return the largest height and width within `within` that have the aspect ratio of `shape`."""
    return shape * tf.reduce_min(within / shape)


_WEIGHT_BITS = 22


def resample(pixels: tf.Tensor, size: tf.Tensor, box: tf.Tensor) -> tf.Tensor:
    """Return a part of an image, resized to `size`.

    Args:
        pixels: uint8 (height, width, channels).
        size: int32 (2,), the height and width of the result.
        box: float32 (4,), the edges of the part: top, left, bottom, right.

    Returns:
        uint8 (*size, channels).
    """
    source = tf.shape(pixels)
    top, left, bottom, right = tf.unstack(box)

    def rows(image: tf.Tensor) -> tf.Tensor:
        return _resample_axis(image, 0, size[0], top, bottom)

    def columns(image: tf.Tensor) -> tf.Tensor:
        return _resample_axis(image, 1, size[1], left, right)

    # As in `records.images`, the order of the passes avoids a huge intermediate image.
    between_px = size[1] * source[0]
    largest_px = tf.maximum(source[0] * source[1], size[0] * size[1])
    return tf.cond(
        between_px > largest_px, lambda: columns(rows(pixels)), lambda: rows(columns(pixels))
    )


def _resample_axis(
    pixels: tf.Tensor, axis: int, size: tf.Tensor, begin: tf.Tensor, end: tf.Tensor
) -> tf.Tensor:
    """Return the part from `begin` to `end` along `axis`, resized to `size`."""
    last = tf.shape(pixels)[axis] - 1
    firsts, weights = _weigh(last + 1, size, begin, end)
    weights_shape = (-1, 1, 1) if axis == 0 else (1, -1, 1)

    def add_tap(total: tf.Tensor, tap: tf.Tensor) -> tf.Tensor:
        part = tf.gather(pixels, tf.minimum(firsts + tap, last), axis=axis)
        return total + tf.cast(part, tf.int32) * tf.reshape(weights[:, tap], weights_shape)

    # The taps are added one by one: all taps together would need many times the memory.
    half = tf.fill(_with_side(tf.shape(pixels), axis, size), 1 << (_WEIGHT_BITS - 1))
    total = tf.foldl(add_tap, tf.range(tf.shape(weights)[1]), initializer=half)
    rounded = tf.bitwise.right_shift(total, _WEIGHT_BITS)
    return tf.cast(tf.clip_by_value(rounded, 0, 255), tf.uint8)


def _with_side(shape: tf.Tensor, axis: int, size: tf.Tensor) -> tf.Tensor:
    return tf.tensor_scatter_nd_update(shape, [[axis]], [size])


def _weigh(
    source: tf.Tensor, size: tf.Tensor, begin: tf.Tensor, end: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Return, for each sample of the result, its first source sample and its weights.

    Returns:
        int32 (size,), the first source samples; int32 (size, taps), the weights. Apart from
        rounding, the weights of each sample add up to 1 << 22.
    """
    scale = tf.cast(end - begin, tf.float64) / tf.cast(size, tf.float64)
    support = tf.maximum(scale, 1)
    centers = tf.cast(begin, tf.float64) + (tf.range(tf.cast(size, tf.float64)) + 0.5) * scale
    firsts = tf.maximum(tf.cast(centers - support + 0.5, tf.int32), 0)
    ends = tf.minimum(tf.cast(centers + support + 0.5, tf.int32), source)
    places = firsts[:, None] + tf.range(tf.cast(tf.math.ceil(support), tf.int32) * 2 + 1)
    distances = tf.abs((tf.cast(places, tf.float64) - centers[:, None] + 0.5) * (1 / support))
    weights = tf.where(places < ends[:, None], tf.maximum(1 - distances, 0), 0)
    parts = weights / tf.reduce_sum(weights, axis=1, keepdims=True)
    return firsts, tf.cast(0.5 + parts * (1 << _WEIGHT_BITS), tf.int32)
