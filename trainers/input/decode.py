"""Decoding of images to uint8 at the input size of the model.

Training, evaluation and prediction use this decoder, so that they see identical pixels. JPEG is
decoded with the accurate inverse DCT, which gives the same pixel values as Pillow. The result is
rounded to uint8. In batches, caches and transfers to a GPU, uint8 needs a quarter of the memory of
float32. An image that already has the input size of the model is not resized.

Resizing is bilinear. An image that is at least twice as large as the input in both dimensions is
resized with antialiasing, and a JPEG of this size is decoded at the smallest of 1/2, 1/4 and 1/8 of
its size that is not below the input. All other images are resized without antialiasing, as in
`keras.utils.image_dataset_from_directory`: it would halve the throughput of the input pipeline, and
there is little to smooth. Version 1 of the decoder treats all images like that.

Random crops are cut during decoding: pixels of a JPEG outside the crop are never computed. Pixels
inside the crop have the same values as if the whole image were decoded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tensorflow as tf

from records.images.encode import PNG_SIGNATURE
from trainers.config import DECODER
from trainers.input.random_crop import sample_crop_box

if TYPE_CHECKING:
    from collections.abc import Callable

    from records.images import ImageOptions
    from trainers.config import ImageShape

_DCT = "INTEGER_ACCURATE"
# If the color channels of a JPEG are subsampled, libjpeg computes a pixel from its neighbors up to
# this distance, but never from pixels outside the region that it decodes.
_COLOR_REACH_PX = 2
_RATIOS = (1, 2, 4, 8)  # at which libjpeg decodes a part of the coefficients


def decode_images(
    encoded: tf.Tensor, options: ImageOptions, shape: ImageShape, decoder: int = DECODER
) -> tf.Tensor:
    """Return the pixels of a batch of stored images.

    Args:
        encoded: the `image/encoded` of each record, strings (batch,).
        options: the image options of the dataset.
        shape: the shape of the images that the model receives.
        decoder: the version of the decoder, see `trainers.config.DECODER`.

    Returns:
        uint8 (batch, height, width, channels).

    Raises:
        tf.errors.InvalidArgumentError: an image does not decode.
    """
    size = None if options.resize is None else options.resize[::-1]

    def decode(image: tf.Tensor) -> tf.Tensor:
        if options.store != "mixed":
            return decode_file(image)
        return tf.cond(
            _is_compressed(image),
            lambda: decode_file(image),
            lambda: decode_raw(image[tf.newaxis])[0],
        )

    def decode_raw(images: tf.Tensor) -> tf.Tensor:
        pixels = _decode_raw(images, options, shape)
        return _fit(pixels, size, shape, antialias=_known_ratio(size, shape, decoder) > 1)

    def decode_file(image: tf.Tensor) -> tf.Tensor:
        if decoder > 1 and size is None:
            return _decode_any_size(image, shape)
        ratio = _known_ratio(size, shape, decoder)
        if ratio == 1:
            return _fit(_decode_compressed(image, shape), size, shape)
        pixels = tf.cond(
            tf.io.is_jpeg(image),
            lambda: decode_jpeg(image, ratio, shape.channels),
            lambda: _decode_compressed(image, shape),
        )
        return _resize(pixels, shape, antialias=True)

    if options.store == "raw":
        return decode_raw(encoded)
    return tf.map_fn(
        decode, encoded, fn_output_signature=tf.TensorSpec(shape.array_shape, tf.uint8)
    )


def decode_crops(
    encoded: tf.Tensor,
    options: ImageOptions,
    shape: ImageShape,
    min_area: float,
    seeds: tf.Tensor,
    *,
    decoder: int = DECODER,
) -> tf.Tensor:
    """Return a random crop of each image, resized to `shape`; see `trainers.input.random_crop`.

    Args:
        encoded: the `image/encoded` of each record, strings (batch,).
        options: the image options of the dataset.
        shape: the shape of the images that the model receives.
        min_area: the smallest fraction of the area of an image that a crop covers, in (0, 1].
        seeds: the seeds that determine the crops, int64 (batch, 2).
        decoder: the version of the decoder, see `trainers.config.DECODER`.

    Returns:
        uint8 (batch, height, width, channels).

    Raises:
        tf.errors.InvalidArgumentError: an image does not decode.
    """

    def cut_pixels(pixels: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        window = sample_crop_box(tf.shape(pixels)[:2], min_area, seed)
        return _slice(pixels, window), _times_larger(window[2:], shape)

    def cut_jpeg(image: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        size = tf.io.extract_jpeg_shape(image)[:2]
        window = sample_crop_box(size, min_area, seed)
        times = _times_larger(window[2:], shape)
        if decoder == 1:
            return _decode_window(image, size, window, shape, 1), times
        pixels = switch_ratio(
            times,
            lambda ratio: _decode_window(image, -(-size // ratio), window // ratio, shape, ratio),
        )
        return pixels, times

    def cut_file(image: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        pixels, times = tf.cond(
            tf.io.is_jpeg(image),
            lambda: cut_jpeg(image, seed),
            lambda: cut_pixels(_decode_compressed(image, shape), seed),
        )
        return pixels, times

    def cut_raw(image: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return cut_pixels(_decode_raw(image, options, shape)[0], seed)

    def crop(image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        if options.store == "mixed":
            pixels, times = tf.cond(
                _is_compressed(image), lambda: cut_file(image, seed), lambda: cut_raw(image, seed)
            )
        else:
            cut = cut_raw if options.store == "raw" else cut_file
            pixels, times = cut(image, seed)
        return _resize(pixels, shape) if decoder == 1 else _resize_by_size(pixels, times, shape)

    return tf.map_fn(
        lambda pair: crop(*pair),
        (encoded, seeds),
        fn_output_signature=tf.TensorSpec(shape.array_shape, tf.uint8),
    )


def decode_jpeg(image: tf.Tensor, ratio: int, channels: int) -> tf.Tensor:
    """Return the pixels of a JPEG at 1/`ratio` of its size, as Pillow decodes it.

    Args:
        image: a JPEG file, a string.
        ratio: 1, 2, 4 or 8.
        channels: 1 or 3.

    Returns:
        uint8 (height / ratio, width / ratio, channels), the sides rounded up.
    """
    return tf.io.decode_jpeg(image, channels=channels, ratio=ratio, dct_method=_DCT)


def switch_ratio(largest: tf.Tensor, decode: Callable[[int], Any]) -> Any:
    """Return the result of `decode` for the largest of 1, 2, 4 and 8 that is at most `largest`."""
    number = tf.reduce_sum(tf.cast(largest >= _RATIOS[1:], tf.int32))
    return tf.switch_case(number, [lambda ratio=ratio: decode(ratio) for ratio in _RATIOS])


def _known_ratio(size: tuple[int, int] | None, shape: ImageShape, decoder: int) -> int:
    """Return the ratio at which images of a known size (height, width) are decoded."""
    if decoder == 1 or size is None:
        return 1
    largest = min(size[0] // shape.height_px, size[1] // shape.width_px)
    return max(ratio for ratio in _RATIOS if ratio <= max(largest, 1))


def _decode_any_size(image: tf.Tensor, shape: ImageShape) -> tf.Tensor:
    # Few operations: in a loop over small images, each takes time, also in branches not taken.
    jpeg_size = tf.cond(
        tf.io.is_jpeg(image),
        lambda: tf.io.extract_jpeg_shape(image)[:2],
        lambda: tf.zeros(2, tf.int32),
    )
    times = _times_larger(jpeg_size, shape)
    pixels = switch_ratio(times, lambda ratio: decode_jpeg(image, ratio, shape.channels))
    # The size of other images is known only after decoding.
    times = tf.maximum(times, _times_larger(tf.shape(pixels)[:2], shape))
    return _resize_by_size(pixels, times, shape)


def _times_larger(size: tf.Tensor, shape: ImageShape) -> tf.Tensor:
    """Return the size of an image divided by the input size of the model: the smaller quotient."""
    return tf.reduce_min(size // (shape.height_px, shape.width_px))


def _resize_by_size(pixels: tf.Tensor, times: tf.Tensor, shape: ImageShape) -> tf.Tensor:
    """Resize an image that was at least `times` as large; with antialiasing if that is twice."""
    return tf.cond(
        times > 1,
        lambda: _resize(pixels, shape, antialias=True),
        lambda: _resize(pixels, shape),
    )


def _decode_compressed(image: tf.Tensor, shape: ImageShape) -> tf.Tensor:
    # The JPEG kernel of TensorFlow also reads PNG, so no branch on the format is needed.
    return tf.io.decode_jpeg(image, channels=shape.channels, dct_method=_DCT)


def _is_compressed(image: tf.Tensor) -> tf.Tensor:
    """Return whether an image of `--store mixed` is a file; see `records.images.normalize`."""
    png = tf.strings.substr(image, 0, len(PNG_SIGNATURE)) == PNG_SIGNATURE
    return tf.io.is_jpeg(image) | png


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
    image: tf.Tensor, size: tf.Tensor, window: tf.Tensor, shape: ImageShape, ratio: int
) -> tf.Tensor:
    """Return the pixels in `window` (top, left, height, width) of a JPEG decoded at 1/`ratio`.

    `size` and `window` are in pixels of the decoded image.
    """
    begin, end = window[:2], window[:2] + window[2:]
    wider_begin = tf.maximum(begin - _COLOR_REACH_PX, 0)
    wider_end = tf.minimum(end + _COLOR_REACH_PX, size)
    pixels = tf.image.decode_and_crop_jpeg(
        image,
        tf.concat([wider_begin, wider_end - wider_begin], axis=0),
        channels=shape.channels,
        ratio=ratio,
        dct_method=_DCT,
    )
    return _slice(pixels, tf.concat([begin - wider_begin, window[2:]], axis=0))


def _slice(pixels: tf.Tensor, window: tf.Tensor) -> tf.Tensor:
    top, left, height, width = tf.unstack(window)
    return pixels[top : top + height, left : left + width]


def _fit(
    pixels: tf.Tensor, size: tuple[int, int] | None, shape: ImageShape, *, antialias: bool = False
) -> tf.Tensor:
    """Return the pixels at the input size of the model; resize unless `size` is this size."""
    if size == (shape.height_px, shape.width_px):
        return tf.ensure_shape(pixels, (*pixels.shape[:-3], *shape.array_shape))
    return _resize(pixels, shape, antialias=antialias)


def _resize(pixels: tf.Tensor, shape: ImageShape, *, antialias: bool = False) -> tf.Tensor:
    size = (shape.height_px, shape.width_px)
    resized = tf.image.resize(pixels, size, method="bilinear", antialias=antialias)
    return tf.cast(tf.round(resized), tf.uint8)
