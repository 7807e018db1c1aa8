"""Seeded, resumable order of records, different in every epoch."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
import tensorflow as tf

from trainers.balance import draw_repeats

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SHUFFLE_MEMORY_BYTES = 256 << 20
_REPEATED_AT_A_TIME = 32

_F = TypeVar("_F", bound=Callable[..., Any])


def no_autograph(function: _F) -> _F:
    """Return a function that AutoGraph does not convert; a conversion would take seconds.

    The function must not branch on tensors.
    """
    unconverted: _F = tf.autograph.experimental.do_not_convert(function)
    return unconverted


class ShuffleSpec(NamedTuple):
    """An order of records that differs from epoch to epoch, and the position where a run starts.

    Attributes:
        seed: the seed of the order, the crops and the augmentation of each epoch.
        end_epoch: the epoch before which the batches end.
        first_epoch: the epoch of the first batch.
        first_step: the number, within `first_epoch`, of the first batch.
        epoch_records: the number of records in every epoch. If fewer can be read, the first records
            of the epoch repeat, so that the number of steps stays the same. None means all records.
        crop: the smallest fraction of the area that a random crop keeps; 1 disables cropping.
        is_shuffled: whether to shuffle the records.
        drop_remainder: whether to omit the last batch of an epoch if it is smaller.
        augment: a function of decoded images and a seed int64 (2,) that returns varied images.
        counts_passes: whether each iterator returns only one epoch: the first iterator returns
            `first_epoch`, the second iterator the epoch after it.
        labels: the label of each record, int64 (records,), if each class has the same number of
            records in an epoch; see `draw_repeats`.
    """

    seed: int
    end_epoch: int
    first_epoch: int = 0
    first_step: int = 0
    epoch_records: int | None = None
    crop: float = 1.0
    is_shuffled: bool = True
    drop_remainder: bool = False
    augment: Callable[[tf.Tensor, tf.Tensor], tf.Tensor] | None = None
    counts_passes: bool = False
    labels: NDArray[np.int64] | None = None

    def augmented(self, images: tf.Tensor, epoch: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
        """Return the images of a batch, augmented if `augment` is set."""
        if self.augment is None:
            return images
        return self.augment(images, tf.stack([self.epoch_seed(epoch), step]))

    def epoch_seed(self, epoch: tf.Tensor) -> tf.Tensor:
        """Return an int64 that differs for each epoch and each seed below 2**32."""
        return epoch * 2**32 + self.seed

    def repeats(self, epoch: tf.Tensor, chosen: NDArray[np.bool_] | None = None) -> tf.Tensor:
        """Return how many times each record is in an epoch, if `labels` is set.

        Args:
            epoch: the number of the epoch.
            chosen: which records have a label, bool (all records,); None if all have one.

        Returns:
            int64 (records,), or (all records,) with `chosen`, which has 0 for the others.
        """
        labels = self.labels
        assert labels is not None
        chosen = np.ones(len(labels), bool) if chosen is None else chosen

        def draw(epoch: np.int64) -> NDArray[np.int64]:
            repeats = np.zeros(len(chosen), np.int64)
            repeats[chosen] = draw_repeats(labels, self.seed, int(epoch))
            return repeats

        return tf.ensure_shape(tf.numpy_function(draw, [epoch], tf.int64), (len(chosen),))


def list_epochs(order: ShuffleSpec) -> tf.data.Dataset:
    """Return the epoch numbers, int64."""
    if not order.counts_passes:
        return tf.data.Dataset.range(order.first_epoch, order.end_epoch)
    passes = count(order.first_epoch)
    return tf.data.Dataset.from_generator(
        lambda: [next(passes)], output_signature=tf.TensorSpec((), tf.int64)
    )


def batch_epoch(
    records: tf.data.Dataset, batch_size: int, order: ShuffleSpec, epoch: tf.Tensor
) -> tf.data.Dataset:
    """Return the batches of an epoch as (epoch, step, batch), from the first step of the run."""
    if order.epoch_records is not None:
        records = records.repeat().take(order.epoch_records)
    seen = tf.where(epoch == order.first_epoch, tf.constant(order.first_step, tf.int64), 0)
    batches = records.batch(batch_size, drop_remainder=order.drop_remainder)
    return (
        batches.enumerate().skip(seen).map(no_autograph(lambda step, batch: (epoch, step, batch)))
    )


def shuffle_buffer_records(records: int, record_bytes: int) -> int:
    """Return the number of records in the shuffle buffer: all, or as many as its memory allows.

    Args:
        records: the number of records of an epoch.
        record_bytes: the mean size of a record in bytes.
    """
    return min(_SHUFFLE_MEMORY_BYTES // max(record_bytes, 1), records)


def shuffle_records(
    dataset: tf.data.Dataset, buffer_records: int, seed: int, epoch: tf.Tensor
) -> tf.data.Dataset:
    """Return records in an order that differs in every epoch and is the same in every run."""
    # `Dataset.shuffle` also uses the global seed of the process. If that is 0, `Dataset.shuffle`
    # rejects seeds that are tensors.
    shuffled = tf.raw_ops.ShuffleDataset(
        input_dataset=tf.data.experimental.to_variant(dataset),
        buffer_size=max(buffer_records, 1),
        seed=tf.constant(seed, tf.int64),
        # Two seeds of 0 would give a different order each time.
        seed2=epoch + 1,
        reshuffle_each_iteration=False,
        output_types=[spec.dtype for spec in tf.nest.flatten(dataset.element_spec)],
        output_shapes=[spec.shape for spec in tf.nest.flatten(dataset.element_spec)],
    )
    return tf.data.experimental.from_variant(shuffled, dataset.element_spec)


def repeat_records(records: tf.data.Dataset, repeats: tf.Tensor) -> tf.data.Dataset:
    """Return each record as many times as `repeats`, int64 (records,), gives, also never."""
    numbers = tf.data.Dataset.from_tensor_slices(repeats)
    pairs = tf.data.Dataset.zip((records, numbers))
    # A batch at a time, because a dataset for each record would take longer than reading it.
    batches = pairs.filter(no_autograph(lambda _, times: times > 0)).batch(_REPEATED_AT_A_TIME)

    def repeat(batch: Any, times: tf.Tensor) -> Any:
        return tf.nest.map_structure(lambda part: tf.repeat(part, times, axis=0), batch)

    return batches.map(no_autograph(repeat)).unbatch()
