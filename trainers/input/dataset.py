"""A split of a dataset as a tf.data.Dataset of image batches.

train = as_tf_dataset("data", "train", image_size=(224, 224), shuffle=True)
model.fit(train, epochs=10)
"""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from records.arguments import Positive, check_arguments
from records.dataset import Dataset, open_dataset
from records.dataset.worker_slice import WorkerSlice
from records.errors import UsageError
from trainers.augment.spec import check_colors, format_augmentation, to_augmentation
from trainers.backend import start_backend
from trainers.balance import read_labels
from trainers.config import ImageShape
from trainers.input.image_size import dataset_size
from trainers.input.selection import (
    check_shards,
    count_steps,
    select_for_training,
    select_known,
    select_split,
)
from trainers.options import Augmentation, PositiveAmount, Seed
from trainers.tasks.target import find_column, targets_of

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import tensorflow as tf
    from numpy.typing import NDArray

    from trainers.input.pipeline import RecordSource, ShardSource
    from trainers.input.selection import Selection
    from trainers.input.shard_cache import ShardCache
    from trainers.input.tensor_files import ArraySource

_LOGGER = logging.getLogger("shardmill")
_MAX_SIDE_PX = 65_500
_MAX_EPOCHS = 2**31


@check_arguments
def as_tf_dataset(
    path: str | os.PathLike[str] | Dataset,
    split: str = "train",
    *,
    target: str | None = None,
    image_size: int | tuple[int, int] | None = None,
    batch_size: Positive = 32,
    shuffle: bool = False,
    seed: Seed = 0,
    augment: str | Augmentation | None = None,
    shard_index: int = 0,
    shard_count: int = 1,
    pad: bool = False,
    drop_remainder: bool = False,
    cache: bool | Literal["memory", "disk", "shards"] = False,
    cache_limit_gb: PositiveAmount = 100.0,
    repeat: bool = False,
    holdout: bool = False,
    balanced: bool = False,
) -> tf.data.Dataset:
    """Return batches of images and labels, decoded as `shardmill train` decodes them.

    Images are uint8 (batch, height, width, channels), 0 to 255; labels are int64 (batch,), from 0.
    Labels of a dataset with any number of labels per image are multi-hot, float32 (batch, classes).
    With `target`, the values of a column take the place of labels, float32 (batch,).
    The result is a `tf.data.Dataset` of known cardinality. Without `target`, it has the attribute
    `class_names`. Pass it to `model.fit`, iterate over it, or call `.as_numpy_iterator()` for JAX
    and NumPy.

    Args:
        path: the path or URL of a dataset, or the result of `open_dataset` without `shard_index`.
        split: a split of the dataset: `train`, `validation` or `test`.
        target: the name of a column of numbers that the dataset keeps. Images without a value are
            left out.
        image_size: (height, width) in pixels, or the side of a square. By default the size of the
            images in the split; required if they differ in size.
        batch_size: the number of images per batch; the last batch of an epoch may be smaller.
        shuffle: whether to read shards and records in random order. The order differs in every
            iteration: the first has the order of epoch 0, the second the order of epoch 1. Without
            it, batches have the order of `open_dataset(path)[split]`.
        seed: the seed of the order and the augmentation. All workers must use the same seed.
        augment: the augmentation, such as `"flip,rotate=20,crop"`, as for `train --augment`.
        shard_index: the number of this worker, from 0.
        shard_count: the number of workers among which the records of the split are divided.
        pad: whether to give all workers the same number of records. A worker that would have one
            record fewer also reads the first record of the next worker. Required if all workers run
            each step together, as in distributed training.
        drop_remainder: whether to omit the last batch of an epoch if it is smaller; batch shapes
            are then static.
        cache: the data to keep between epochs: decoded images in memory (True or
            `"memory"`) or on disk (`"disk"`), or copies of shards on disk (`"shards"`), for a
            dataset at a URL. The folder is in `$XDG_CACHE_HOME` or `~/.cache`. Decoded images
            cannot be combined with random crops.
        cache_limit_gb: the maximum size of the copies of shards of all datasets, in GB; the copies
            that were used least recently are removed.
        repeat: whether to return one epoch after another without end, each in its own order.
        holdout: whether to hold out a tenth of `train` if the dataset has no split `validation`.
            Then `validation` returns the held-out records, on which `shardmill train` validates,
            and `train` returns the rest. Has no effect if the dataset has a split `validation`.
        balanced: whether each class has the same number of records in an epoch, which has as many
            records as the split: those of rare classes repeat, and some of frequent classes are
            left out. With `shuffle` only.

    Raises:
        InputNotFoundError: no finished dataset exists at this path.
        UsageError: an argument is invalid, the split or the target is missing, the images differ
            in size and no `image_size` is given, or there are fewer records than workers.
        CorruptDataError: a manifest, an index or a shard is damaged or missing.
    """
    augmentation = to_augmentation(augment)
    _check_augmentation(augmentation, cache)
    dataset = path if isinstance(path, Dataset) else open_dataset(path)
    worker_slice = WorkerSlice(shard_index, shard_count, padded=pad)
    column = None if target is None else find_column(dataset, target)
    selected = _select(dataset, split, holdout=holdout)
    if column is not None:
        selected = select_known(dataset, selected, column.name)
    if selected.records < shard_count:
        raise UsageError(
            f"the split {split} has fewer records than there are workers",
            path=dataset.storage.url,
            expected=f"at least {shard_count}",
            got=selected.records,
        )
    shape = _image_shape(dataset, selected, image_size)
    check_colors(augmentation, shape.channels)
    own = selected.part(worker_slice)
    labels = _labels_of(dataset, own, target, shuffle=shuffle) if balanced else None
    check_shards(dataset, own)
    start_backend()

    import tensorflow as tf

    from trainers.input.pipeline import ShardSource, cached_batches, shuffled_batches
    from trainers.input.shuffle import ShuffleSpec

    order = ShuffleSpec(
        seed,
        end_epoch=_MAX_EPOCHS,
        crop=augmentation.crop,
        is_shuffled=shuffle,
        drop_remainder=drop_remainder,
        augment=_augmenter(augmentation),
        counts_passes=not repeat,
        labels=labels,
    )
    labelled = ShardSource.from_dataset(dataset, shape)
    shards = labelled.with_target(column)
    source: RecordSource = shards
    if cache == "shards":
        source = replace(shards, cache=_cache_of_shards(dataset, own, cache_limit_gb))
    if cache == "disk":
        targets = targets_of(dataset, own.shards, target)
        source = replace(_cache_on_disk(labelled, own), targets=targets)
    read = cached_batches if cache in {True, "memory"} else shuffled_batches
    batches = read(source, own, batch_size, order)
    steps = own.records // batch_size if drop_remainder else count_steps(own.records, batch_size)
    batches = batches.apply(
        tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY if repeat else steps)
    )
    if column is None:
        batches.class_names = list(dataset.labels)
    return batches


def _check_augmentation(augmentation: Augmentation, cache: bool | str) -> None:
    if augmentation.mixes_images:
        raise UsageError(
            "as_tf_dataset cannot mix images, because it would change the form of their labels",
            got=f"augment={format_augmentation(augmentation)!r}",
            hint="omit mixup and cutmix, and use keras.layers.MixUp or keras.layers.CutMix",
        )
    if cache in {True, "memory", "disk"} and augmentation.crop < 1:
        raise UsageError(
            "cache and crop cannot be combined: cached images are already decoded",
            hint="omit cache or crop",
        )


def _labels_of(
    dataset: Dataset, selected: Selection, target: str | None, *, shuffle: bool
) -> NDArray[np.int64]:
    """Return the labels by which records are balanced. Raises UsageError."""
    if dataset.is_multi_label or target is not None:
        raise UsageError(
            "balanced requires one class per image",
            got="a target" if target is not None else "any number of labels per image",
            hint="omit balanced",
        )
    if not shuffle:
        raise UsageError("balanced requires shuffle=True", hint="add shuffle=True")
    return read_labels(dataset, selected)


def _augmenter(augmentation: Augmentation) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor] | None:
    if augmentation == Augmentation(crop=augmentation.crop):  # decoding crops
        return None

    from trainers.augment.stateless import augment_images

    return lambda images, seed: augment_images(images, augmentation, seed)


def _select(dataset: Dataset, split: str, *, holdout: bool) -> Selection:
    selected: Selection
    if holdout and split in {"train", "validation"}:
        training, validation = select_for_training(dataset, None)
        selected = training if split == "train" else validation
    else:
        try:
            selected = select_split(dataset, split)
        except UsageError as error:
            if split == "validation":
                error.hint = "pass holdout=True to hold out a tenth of train"
            raise
    if len(dataset[selected.split]) != dataset[selected.split].info.records:
        raise UsageError(
            "the dataset was opened for one worker",
            path=dataset.storage.url,
            hint="open the dataset without shard_index, and pass shard_index to as_tf_dataset",
        )
    return selected


def _image_shape(
    dataset: Dataset, selected: Selection, image_size: int | tuple[int, int] | None
) -> ImageShape:
    channels = dataset.manifest.settings.images.channels
    size = dataset_size(dataset, selected) if image_size is None else image_size
    if size is None:
        raise UsageError(
            "the images of this dataset differ in size",
            path=dataset.storage.url,
            hint="pass image_size=(height, width), such as image_size=(224, 224)",
        )
    sides = (size, size) if isinstance(size, int) else tuple(size)
    is_valid = len(sides) == 2 and all(
        isinstance(side, int) and 1 <= side <= _MAX_SIDE_PX for side in sides
    )
    if not is_valid:
        raise UsageError(
            "invalid image_size", expected="(height, width) in pixels", got=repr(image_size)
        )
    height, width = sides
    return ImageShape(height, width, channels)


def _cache_of_shards(dataset: Dataset, selected: Selection, limit_gb: float) -> ShardCache:
    from trainers.input.shard_cache import open_shard_cache

    return open_shard_cache(
        dataset.storage, selected.shards, limit_gb=limit_gb, on_message=_LOGGER.warning
    )


def _cache_on_disk(source: ShardSource, selected: Selection) -> ArraySource:
    from trainers.input.disk_cache import build_disk_cache, cache_folder

    return build_disk_cache(source, selected, below=cache_folder(), on_message=lambda _line: None)
