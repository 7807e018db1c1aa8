"""What trains in a phase: a model around the network, and what it is fed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import keras
import tensorflow as tf

from trainers.augment.layers import build_augmenter
from trainers.features.load import load_or_extract
from trainers.input.disk_cache import build_disk_cache, cache_folder
from trainers.input.in_memory import batches_in_order, shuffled_in_memory
from trainers.input.pipeline import (
    RecordSource,
    ShardSource,
    cached_batches,
    ordered_batches,
    shuffled_batches,
)
from trainers.input.shuffle import ShuffleSpec, no_autograph
from trainers.models.freezing import freeze_base, unfreeze_base
from trainers.training.compile import compile_model

if TYPE_CHECKING:
    from trainers.input.selection import Selection
    from trainers.models.build import Network
    from trainers.training.phases import Phase
    from trainers.training.plan import TrainingPlan

_HELD_BYTES = 1 << 30


class BatchReader(NamedTuple):
    """How a source becomes batches: in another order every epoch, and in the same always."""

    shuffled: Callable[..., tf.data.Dataset]
    in_order: Callable[..., tf.data.Dataset]


STREAMING = BatchReader(shuffled_batches, ordered_batches)
CACHED = BatchReader(cached_batches, cached_batches)
IN_MEMORY = BatchReader(shuffled_in_memory, batches_in_order)


@dataclass(frozen=True)
class PhaseSetup:
    """A phase ready to run.

    Args:
        phase: which.
        model: what Keras fits, compiled; its layers are the network's.
        accuracy: counted by the model, over an epoch.
        source: what it is fed, one way or the other.
        reading: how.
        crop: the least part of an image that random crops keep.
    """

    phase: Phase
    model: keras.Model
    accuracy: keras.metrics.Metric
    source: RecordSource
    reading: BatchReader = STREAMING
    crop: float = 1.0

    @property
    def metrics(self) -> tuple[keras.metrics.Metric, keras.metrics.Metric]:
        """The model's loss and accuracy."""
        return self.model.metrics[0], self.accuracy

    def read_training(
        self, selection: Selection, batch_size: int, order: ShuffleSpec
    ) -> tf.data.Dataset:
        """The steps from where `order` begins."""
        order = order._replace(crop=self.crop)
        return self.reading.shuffled(self.source, selection, batch_size, order)

    def read_validation(
        self, selection: Selection, batch_size: int, divisor: int = 1
    ) -> tf.data.Dataset:
        """What is measured after each epoch, always in the same order.

        Where every batch must be a multiple of `divisor`, the last images may be left out.
        """
        batches = self.reading.in_order(self.source, selection, batch_size)
        return batches if divisor == 1 else _cut_batches(batches, divisor)


def _cut_batches(batches: tf.data.Dataset, divisor: int) -> tf.data.Dataset:
    def cut(inputs: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        images = tf.shape(labels)[0] // divisor * divisor
        return inputs[:images], labels[:images]

    return batches.map(no_autograph(cut)).filter(
        no_autograph(lambda _, labels: tf.size(labels) > 0)
    )


def set_up_phase(
    plan: TrainingPlan,
    network: Network,
    phase: Phase,
    *,
    damaged: frozenset[str],
    say: Callable[[str], None],
    on_progress: Callable[[int, int], None],
) -> PhaseSetup:
    """Make a phase ready: freeze what stays as it is, build what trains, open what it is fed.

    Args:
        plan: the training.
        network: with its weights so far.
        phase: what trains.
        damaged: shards with records that cannot be read.
        say: told what takes time.
        on_progress: told the images whose features are extracted, and of how many.
    """
    options = plan.config.options
    shards = ShardSource.from_dataset(plan.dataset, plan.config.shape, damaged)
    parts = plan.training, plan.validation
    if phase.trained == "head":
        freeze_base(network)
    if phase.trained == "unfrozen":
        unfreeze_base(network, options.unfreeze)
    if plan.reads_features(phase):
        assert network.head is not None  # the plan has seen to it
        source = load_or_extract(
            plan.dataset,
            parts,
            network,
            plan.config.architecture,
            store=options.features,
            say=say,
            on_progress=on_progress,
        )
        model = keras.Model(network.head.inputs, network.head.outputs[0])
        size_bytes = sum(part.records * source.format.record_bytes for part in parts)
        reading = IN_MEMORY if size_bytes <= _HELD_BYTES else STREAMING
        return PhaseSetup(phase, model, compile_model(model, options, phase), source, reading)
    model = _build_model(plan, network, phase)
    accuracy = compile_model(model, options, phase)
    if options.cache == "disk":
        source = build_disk_cache(shards, *parts, below=cache_folder(), say=say)
        return PhaseSetup(phase, model, accuracy, source)
    if options.cache == "memory":
        size_mb = sum(part.records for part in parts) * plan.config.shape.size_bytes / 1e6
        say(f"keeping decoded images in memory ({size_mb:,.0f} MB)")
        return PhaseSetup(phase, model, accuracy, shards, CACHED)
    return PhaseSetup(phase, model, accuracy, shards, crop=options.augment.crop)


def _build_model(plan: TrainingPlan, network: Network, phase: Phase) -> keras.Model:
    """A model of its own, so that the optimizer's state is not among the network's weights."""
    options, shape = plan.config.options, plan.config.shape
    image = keras.Input(shape.array_shape, dtype="uint8", name="image")
    augmenter = build_augmenter(options.augment, shape, options.seed)
    varied = image if augmenter is None else augmenter(image)
    if phase.trained == "head":
        assert network.head is not None
        assert network.extractor is not None
        # Dropout inside a base that does not learn would only blur what its head sees.
        return keras.Model(image, network.head(network.extractor(varied, training=False)))
    return keras.Model(image, network.model(varied))
