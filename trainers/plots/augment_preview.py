"""Picture of a training image and its augmented variants."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf
from keras import ops

from records.errors import UsageError
from records.pictures.fonts import drawable, find_font
from trainers.augment.layers import build_augmenter
from trainers.augment.mixing import Mixer
from trainers.augment.spec import format_augmentation
from trainers.input.decode import decode_crops, decode_images
from trainers.plots.image_grid import shorten
from trainers.plots.style import new_figure, new_font, render_png
from trainers.tasks import task_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from records.dataset import Dataset, Record
    from trainers.config import RunConfig
    from trainers.input.selection import Selection

VARIANTS = 5
"""The number of augmented variants in a picture."""

_IMAGE_INCHES = 1.9
_NAME_CHARACTERS = 40


def preview_augmentation(dataset: Dataset, training: Selection, config: RunConfig) -> bytes:
    """Return a PNG file with the first training image and five augmented variants.

    Raises:
        CorruptDataError: the record of the image cannot be read.
        UsageError: the run has no augmentation.
    """
    augmentation = config.options.augment
    words = format_augmentation(augmentation)
    if augmentation == type(augmentation)():
        raise UsageError("no augmentation to preview", hint="add --augment, such as --augment flip")
    chosen = np.flatnonzero(np.concatenate(training.shard_masks))
    records = dataset[training.split]
    shown = [int(number) for number in chosen[: 1 + VARIANTS * augmentation.mixes_images]]
    record, *others = (records[number] for number in shown)
    caption = shorten(task_of(config).caption(record), _NAME_CHARACTERS)
    return draw_variants(make_variants(record, config, others), f"{caption}, {words}")


def make_variants(
    record: Record, config: RunConfig, others: Sequence[Record] = ()
) -> NDArray[np.uint8]:
    """Return an image as prediction decodes it, followed by its augmented variants.

    Args:
        record: the record of the image.
        config: the configuration of the run.
        others: the records with which MixUp and CutMix mix the image.

    Returns:
        uint8 (1 + VARIANTS, height, width, channels).
    """
    options, shape = config.options, config.shape
    images = [each.image for each in (record, *others)]
    decoded = decode_images(tf.constant(images), config.images, shape, config.decoder).numpy()
    original = decoded[:1]
    variants = np.repeat(original, VARIANTS, axis=0)
    if options.augment.crop < 1:
        seeds = tf.stack(
            [
                tf.fill((VARIANTS,), tf.constant(options.seed, tf.int64)),
                tf.range(VARIANTS, dtype=tf.int64),
            ],
            axis=1,
        )
        encoded = tf.fill((VARIANTS,), record.image)
        variants = decode_crops(
            encoded, config.images, shape, options.augment.crop, seeds, decoder=config.decoder
        ).numpy()
    augmenter = build_augmenter(options.augment, shape, options.seed)
    if augmenter is not None:
        variants = ops.convert_to_numpy(augmenter(variants, training=True))
    if options.augment.mixes_images:
        batch = np.concatenate([variants, decoded[1:]])
        mixer = Mixer(options.augment, 1, options.seed)
        mixed, _ = mixer(batch, np.zeros(len(batch), np.int32), training=True)
        variants = ops.convert_to_numpy(mixed)[:VARIANTS]
    return np.concatenate([original, variants])


@render_png
def draw_variants(variants: NDArray[np.uint8], title: str) -> Figure:
    """Draw an image and its variants in a row.

    Args:
        variants: uint8 (images, height, width, channels), the original image first.
        title: the text above the row.
    """
    count, height, width, _ = variants.shape
    figure = new_figure(_IMAGE_INCHES * count, _IMAGE_INCHES * min(height / width, 3) + 0.7)
    for number, axes in enumerate(figure.subplots(1, count, squeeze=False).flat):
        axes.imshow(
            variants[number].squeeze(-1) if variants.shape[-1] == 1 else variants[number],
            cmap="gray",
            vmin=0,
            vmax=255,
        )
        axes.axis("off")
        axes.set_title(f"variant {number}" if number else "original", fontsize=9)
    font = find_font([title])
    figure.suptitle(drawable(title, font), fontproperties=new_font(font, 11))
    figure.subplots_adjust(0, 0, 1, 0.82, wspace=0.04)
    return figure
