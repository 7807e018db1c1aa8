"""Batches of arrays in memory; an epoch is a permutation of indexes.

Features are read this way, because they are small enough for memory. A training step on features is
so short that reading records one by one would take most of the time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from trainers.input.parallelism import prefetch, without_autotune
from trainers.input.shuffle import ShuffleSpec, batch_epoch, list_epochs, no_autograph
from trainers.input.tensor_files import to_model_dtype, to_model_labels

if TYPE_CHECKING:
    from trainers.input.selection import Selection
    from trainers.input.tensor_files import ArraySource


def batches_in_order(source: ArraySource, selection: Selection, batch_size: int) -> tf.data.Dataset:
    """Return the batches of `trainers.input.pipeline.ordered_batches`, from memory."""
    arrays, labels = _load(source, selection)
    batches = tf.data.Dataset.range(selection.records).batch(batch_size)
    return without_autotune(batches.map(no_autograph(lambda places: _take(arrays, labels, places))))


def shuffled_in_memory(
    source: ArraySource, selection: Selection, batch_size: int, order: ShuffleSpec
) -> tf.data.Dataset:
    """Return shuffled batches like `trainers.input.pipeline.shuffled_batches`, from memory.

    The order differs from the order there, but is also the same in every run.
    """
    arrays, labels = _load(source, selection)
    in_order = tf.range(selection.records, dtype=tf.int64)

    @no_autograph
    def shuffle_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
        seed = tf.stack([tf.constant(order.seed, tf.int64), epoch])
        places = in_order if order.labels is None else tf.repeat(in_order, order.repeats(epoch))
        places = tf.random.experimental.stateless_shuffle(places, seed)
        return batch_epoch(tf.data.Dataset.from_tensor_slices(places), batch_size, order, epoch)

    batches = list_epochs(order).flat_map(shuffle_epoch)
    taken = batches.map(no_autograph(lambda _epoch, _step, places: _take(arrays, labels, places)))
    return prefetch(taken)


def _load(source: ArraySource, selection: Selection) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the stored arrays (records, *shape) and labels of a selection."""
    arrays, labels = [], []
    for shard, chosen in zip(selection.shards, selection.shard_masks, strict=True):
        records = source.load(shard)
        arrays.append(records["array"][chosen])
        labels.append(source.labels_of(shard, records)[chosen])
    return tf.constant(np.concatenate(arrays)), tf.constant(np.concatenate(labels))


def _take(arrays: tf.Tensor, labels: tf.Tensor, places: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    return to_model_dtype(tf.gather(arrays, places)), to_model_labels(tf.gather(labels, places))
