"""The stages of a training's input, each as a dataset of its own that never ends.

Each does what training does there, by the same functions and on as many threads, but what it works
on lies in memory: it waits for no other stage.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import tensorflow as tf

from records.manifest import Shard
from trainers.decoder import decode_crops, decode_images
from trainers.input import read_in_order, read_shuffled
from trainers.order import Order
from trainers.parsing import RecordParser
from trainers.selection import Selection
from trainers.side_by_side import map_ahead

if TYPE_CHECKING:
    from collections.abc import Callable

    from trainers.input import RecordSource
    from trainers.plan import TrainingPlan

_SAMPLE_BYTES = 64 << 20
_SAMPLE_RECORDS = 4096
_ENDLESS_EPOCHS = 1 << 31


@dataclass(frozen=True)
class _Undecoded:
    """A `RecordSource` of records that stay what they are."""

    read: Callable[[tf.Tensor], tf.data.Dataset]
    mean_bytes: int

    def decode(self, records: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Strings (batch,) as they came, and their bytes."""
        return records, tf.strings.length(records)

    def record_bytes(self, _selection: Selection) -> int:
        """See `RecordSource.record_bytes`."""
        return self.mean_bytes


@dataclass(frozen=True)
class StageInputs:
    """What feeds each stage.

    Args:
        stages: endless datasets of batches, by the names `read`, `parse`, `decode` and `batch`.
        batch: of decoded images and their labels, as the model is fed.
    """

    stages: dict[str, tf.data.Dataset]
    batch: tuple[tf.Tensor, tf.Tensor]


def endless_order(plan: TrainingPlan) -> Order:
    """Training's order, without end and in whole batches, so that every step has the same shape."""
    options = plan.config.options
    whole_batches = max(plan.training.records // options.batch_size, 1)
    return Order(
        options.seed,
        end_epoch=_ENDLESS_EPOCHS,
        epoch_records=whole_batches * options.batch_size,
    )


def open_inputs(plan: TrainingPlan, source: RecordSource) -> StageInputs:
    """The stages of the input of a training, read from `source`."""
    batch_size, mean_bytes = plan.config.options.batch_size, source.record_bytes(plan.training)
    shards = _Undecoded(source.read, mean_bytes)
    records = _read_sample(plan, shards)
    kept = _Undecoded(lambda _: tf.data.Dataset.from_tensor_slices(records), mean_bytes)
    everything = Selection(
        "train", "train", (Shard("memory", len(records), len(records) * mean_bytes, ""),)
    )
    parse = RecordParser.of(plan.dataset).parse
    encoded, labels = parse(records)

    def decode(images: tf.Tensor) -> tf.Tensor:
        return _decode(plan, images)

    return StageInputs(
        {
            "read": read_in_order(shards, plan.training, batch_size).repeat(),
            "parse": _work_on(records, batch_size, parse),
            "decode": _work_on(encoded, batch_size, decode),
            "batch": read_shuffled(kept, everything, batch_size, endless_order(plan)),
        },
        (decode(encoded[:batch_size]), labels[:batch_size]),
    )


def _read_sample(plan: TrainingPlan, shards: _Undecoded) -> tf.Tensor:
    """Some whole batches of training records, strings (records,); where they are few, repeated."""
    batch_size = plan.config.options.batch_size
    count = min(_SAMPLE_BYTES // max(shards.mean_bytes, 1), _SAMPLE_RECORDS, plan.training.records)
    size = max(count // batch_size, 1) * batch_size
    records = read_in_order(shards, plan.training, batch_size).unbatch().repeat()
    sample: tf.Tensor = next(iter(records.batch(size)))[0]
    return sample


def _work_on(
    elements: tf.Tensor, batch_size: int, work: Callable[[tf.Tensor], object]
) -> tf.data.Dataset:
    # Kept as batches, for a slice would copy the strings anew each time.
    batches = tf.data.Dataset.from_tensor_slices(elements).batch(batch_size).cache().repeat()
    return map_ahead(batches, work)


def _decode(plan: TrainingPlan, encoded: tf.Tensor) -> tf.Tensor:
    config = plan.config
    crop = config.options.augment.crop
    if crop == 1:
        return decode_images(encoded, config.images, config.shape)
    numbers = tf.range(tf.size(encoded, tf.int64))
    seeds = tf.stack([tf.fill(tf.shape(numbers), tf.constant(0, tf.int64)), numbers], axis=1)
    return decode_crops(encoded, config.images, config.shape, crop, seeds)
