"""A split as batches for a training loop of one's own, on one machine or shared by several.

    batches = read_batches("data", "train", image_size=224, batch_size=32, epochs=10)
    for images, labels in batches: ...

The input that `shardmill train` has: the same decoding, and an order that follows from the seed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import tensorflow as tf

from records.dataset import open_dataset
from records.dataset.worker_slice import WorkerSlice
from records.errors import UsageError
from trainers.config import ImageShape
from trainers.input.pipeline import ShardSource, ordered_batches, shuffled_batches
from trainers.input.selection import count_steps, select_split
from trainers.input.shuffle import ShuffleSpec

if TYPE_CHECKING:
    import os


def read_batches(
    path: str | os.PathLike[str],
    split: str = "train",
    *,
    image_size: int,
    batch_size: int,
    epochs: int = 1,
    shuffle: bool = True,
    seed: int = 0,
    shard_index: int = 0,
    shard_count: int = 1,
) -> tf.data.Dataset:
    """Batches of images uint8 (batch, image_size, image_size, channels), and labels int64 (batch,).

    Shuffled, every worker has as many steps: where parts differ by a record, the smaller ones give
    their first record of an epoch twice. In order, each record comes once, for measuring.

    Args:
        path: of a dataset, local or a URL.
        split: which of its splits.
        image_size: the side of the images in pixels.
        batch_size: of one worker; the last batch of an epoch may be smaller.
        epochs: how often all of it comes, in another order each time.
        shuffle: else the order is that of the shards.
        seed: decides the order; the same for all workers.
        shard_index: which worker's part, from 0.
        shard_count: among how many workers.

    Raises:
        InputNotFoundError: there is no finished dataset.
        UsageError: it has no such split, there is no such part, or it has fewer records than parts.
    """
    part, dataset = WorkerSlice(shard_index, shard_count), open_dataset(path)
    whole = select_split(dataset, split)
    if whole.records < shard_count:
        raise UsageError(
            f"{split} has fewer records than there are workers",
            path=dataset.storage.url,
            expected=f"at least {shard_count}",
            got=whole.records,
        )
    shape = ImageShape(image_size, image_size, dataset.manifest.settings.images.channels)
    source, own = ShardSource.from_dataset(dataset, shape), whole.part(part)
    if not shuffle:
        return ordered_batches(source, own, batch_size).repeat(epochs)
    records = part.max_records(whole.records)
    batches = shuffled_batches(
        source, own, batch_size, ShuffleSpec(seed, epochs, epoch_records=records)
    )
    return batches.apply(
        tf.data.experimental.assert_cardinality(epochs * count_steps(records, batch_size))
    )
