"""Arrays that are held in memory whole, as batches: an epoch is an order of places in a table.

For features, which are small, and whose steps are so short that reading a record at a time would
take most of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from trainers.array_source import as_fed
from trainers.order import Order, as_it_is, batch_epoch, list_epochs
from trainers.side_by_side import as_numbered, keep_ahead

if TYPE_CHECKING:
    from trainers.array_source import ArraySource
    from trainers.selection import Selection


def hold_in_order(source: ArraySource, selection: Selection, batch_size: int) -> tf.data.Dataset:
    """As `trainers.input.read_in_order`."""
    arrays, labels = _load(source, selection)
    batches = tf.data.Dataset.range(selection.records).batch(batch_size)
    return as_numbered(batches.map(as_it_is(lambda places: _take(arrays, labels, places))))


def hold_shuffled(
    source: ArraySource, selection: Selection, batch_size: int, order: Order
) -> tf.data.Dataset:
    """As `trainers.input.read_shuffled`; the order is another one, and as reproducible."""
    arrays, labels = _load(source, selection)
    in_order = tf.range(selection.records, dtype=tf.int64)

    @as_it_is
    def shuffle_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
        seed = tf.stack([tf.constant(order.seed, tf.int64), epoch])
        places = tf.random.experimental.stateless_shuffle(in_order, seed)
        return batch_epoch(tf.data.Dataset.from_tensor_slices(places), batch_size, order, epoch)

    batches = list_epochs(order).flat_map(shuffle_epoch)
    taken = batches.map(as_it_is(lambda _epoch, _step, places: _take(arrays, labels, places)))
    return keep_ahead(taken)


def _load(source: ArraySource, selection: Selection) -> tuple[tf.Tensor, tf.Tensor]:
    """All chosen records' arrays (records, *shape), as they are stored, and labels (records,)."""
    pairs = zip(selection.shards, selection.masks, strict=True)
    records = np.concatenate([source.load(shard)[chosen] for shard, chosen in pairs])
    return tf.constant(records["array"]), tf.constant(records["label"])


def _take(arrays: tf.Tensor, labels: tf.Tensor, places: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    return as_fed(tf.gather(arrays, places)), tf.gather(labels, places)
