"""The order of records in training: another one in every epoch, the same in every run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import tensorflow as tf

_F = TypeVar("_F", bound=Callable[..., Any])


def no_autograph(function: _F) -> _F:
    """A function for tf.data that branches on no tensor: looking for that takes seconds."""
    unconverted: _F = tf.autograph.experimental.do_not_convert(function)
    return unconverted


class ShuffleSpec(NamedTuple):
    """An order of records that differs from epoch to epoch, and where in it a run begins.

    Args:
        seed: decides the order of each epoch, and its crops.
        end_epoch: the epoch before which it ends.
        first_epoch: the one it begins with.
        first_step: the batch of that epoch it begins with.
        epoch_records: how many records every epoch gives: where fewer can be read, the first of the
            epoch come again, so that steps stay what they were. None is those that are there.
        crop: the least part of an image's area that a random crop keeps; 1 is no crop.
    """

    seed: int
    end_epoch: int
    first_epoch: int = 0
    first_step: int = 0
    epoch_records: int | None = None
    crop: float = 1.0


def list_epochs(order: ShuffleSpec) -> tf.data.Dataset:
    """The numbers of the epochs."""
    return tf.data.Dataset.range(order.first_epoch, order.end_epoch)


def batch_epoch(
    records: tf.data.Dataset, batch_size: int, order: ShuffleSpec, epoch: tf.Tensor
) -> tf.data.Dataset:
    """The batches of an epoch, each with the epoch and its number in it, but those seen before."""
    if order.epoch_records is not None:
        records = records.repeat().take(order.epoch_records)
    seen = tf.where(epoch == order.first_epoch, tf.constant(order.first_step, tf.int64), 0)
    numbered = records.batch(batch_size).enumerate().skip(seen)
    return numbered.map(no_autograph(lambda step, batch: (epoch, step, batch)))


def shuffle_records(
    dataset: tf.data.Dataset, buffer_records: int, seed: int, epoch: tf.Tensor
) -> tf.data.Dataset:
    """Another order in every epoch, the same in every run, as far as the buffer reaches."""
    # `Dataset.shuffle` draws on the process's global seed too, and takes no tensor where that is 0.
    shuffled = tf.raw_ops.ShuffleDataset(
        input_dataset=tf.data.experimental.to_variant(dataset),
        buffer_size=max(buffer_records, 1),
        seed=tf.constant(seed, tf.int64),
        # Both seeds 0 would mean: another order each time.
        seed2=epoch + 1,
        reshuffle_each_iteration=False,
        output_types=[spec.dtype for spec in tf.nest.flatten(dataset.element_spec)],
        output_shapes=[spec.shape for spec in tf.nest.flatten(dataset.element_spec)],
    )
    return tf.data.experimental.from_variant(shuffled, dataset.element_spec)
