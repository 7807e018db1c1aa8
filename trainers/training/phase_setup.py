"""The compiled model and the input of a phase."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
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
from trainers.input.shard_cache import open_shard_cache
from trainers.input.shuffle import ShuffleSpec, no_autograph
from trainers.models.freezing import freeze_backbone, unfreeze_backbone
from trainers.tasks import task_of
from trainers.tasks.target import targets_of
from trainers.training.compile import CompiledMetrics, compile_model

if TYPE_CHECKING:
    from trainers.input.selection import Selection
    from trainers.input.tensor_files import ArraySource
    from trainers.models.build import Network
    from trainers.training.phases import Phase
    from trainers.training.plan import TrainingPlan

_IN_MEMORY_BYTES = 1 << 30


class BatchReader(NamedTuple):
    """Two functions that read batches from a source.

    Attributes:
        shuffled: the function that returns batches in a different order for each epoch.
        in_order: the function that returns batches in the stored order.
    """

    shuffled: Callable[..., tf.data.Dataset]
    in_order: Callable[..., tf.data.Dataset]


STREAMING = BatchReader(shuffled_batches, ordered_batches)
CACHED = BatchReader(cached_batches, cached_batches)
IN_MEMORY = BatchReader(shuffled_in_memory, batches_in_order)


@dataclass(frozen=True)
class PhaseSetup:
    """A phase that is ready to run.

    Args:
        phase: the phase.
        model: the compiled model, made of the layers of the network.
        compiled_metrics: the metrics of the model besides the loss.
        source: the source of the records.
        reading: the functions that read batches from the source.
        crop: the minimum fraction of the area that a random crop keeps; 1 disables cropping.
        skipped: the damaged records that the source does not have, as (shard name, record number).
    """

    phase: Phase
    model: keras.Model
    compiled_metrics: CompiledMetrics
    source: RecordSource
    reading: BatchReader = STREAMING
    crop: float = 1.0
    skipped: frozenset[tuple[str, int]] = frozenset()

    @property
    def metrics(self) -> tuple[keras.metrics.Metric, ...]:
        """Return the metrics of training: the loss, and those that validation has too."""
        return self.model.metrics[0], *self.compiled_metrics.both

    def read_training(
        self, selection: Selection, batch_size: int, order: ShuffleSpec
    ) -> tf.data.Dataset:
        """Return the training batches, starting at the first step of `order`."""
        order = order._replace(crop=self.crop)
        return self.reading.shuffled(self.source, selection, batch_size, order)

    def read_validation(
        self, selection: Selection, batch_size: int, divisor: int = 1
    ) -> tf.data.Dataset:
        """Return the validation batches, always in the same order.

        Args:
            selection: the records to validate on.
            batch_size: the number of images per batch.
            divisor: the number that must divide the size of every batch; the last batch drops as
                many images as this requires.
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
    on_message: Callable[[str], None],
    on_progress: Callable[[int, int], None],
) -> PhaseSetup:
    """Freeze layers, build and compile the model, and open the input of a phase.

    Args:
        plan: the plan of the run.
        network: the network with its current weights.
        phase: the phase to set up.
        damaged: the names of shards with damaged records.
        on_message: called with each line that the user should read.
        on_progress: called with the number of images whose features have been extracted, and the
            number of all images.
    """
    options = plan.config.options
    task = task_of(plan.config)
    labelled = ShardSource.from_dataset(
        plan.dataset, plan.config.shape, damaged, decoder=plan.config.decoder
    )
    shards = labelled.with_target(plan.target_column)
    parts = plan.training, plan.validation
    if phase.trainable == "head":
        freeze_backbone(network)
    if phase.trainable == "unfrozen":
        unfreeze_backbone(network, options.unfreeze)
    if plan.reads_features(phase):
        assert network.head is not None  # the plan has checked that
        source = load_or_extract(
            plan.dataset,
            parts,
            network,
            plan.config.architecture,
            store=options.features,
            skip_bad=options.skip_bad,
            decoder=plan.config.decoder,
            on_message=on_message,
            on_progress=on_progress,
        )
        source = _with_targets(source, plan)
        model = keras.Model(network.head.inputs, network.head.outputs[0])
        size_bytes = sum(part.records * source.format.record_bytes for part in parts)
        reading = IN_MEMORY if size_bytes <= _IN_MEMORY_BYTES else STREAMING
        metrics = compile_model(model, options, phase, task, plan.class_counts)
        # The plan has left out the records that a named store does not have.
        skipped = source.skipped if options.features is None else frozenset[tuple[str, int]]()
        return PhaseSetup(phase, model, metrics, source, reading, skipped=skipped)
    model = _build_model(plan, network, phase)
    metrics = compile_model(model, options, phase, task, plan.class_counts)
    if options.cache == "disk":
        source = build_disk_cache(labelled, *parts, below=cache_folder(), on_message=on_message)
        return PhaseSetup(phase, model, metrics, _with_targets(source, plan))
    if options.cache == "shards":
        cached = [shard for part in parts for shard in part.shards]
        cache = open_shard_cache(
            shards.storage, cached, limit_gb=options.cache_limit_gb, on_message=on_message
        )
        limit = f"at most {options.cache_limit_gb:g} GB"
        on_message(f"keeping copies of shards ({limit}) in {cache.folder}")
        shards = replace(shards, cache=cache)
    if options.cache == "memory":
        size_mb = sum(part.records for part in parts) * plan.config.shape.size_bytes / 1e6
        on_message(f"keeping decoded images in memory ({size_mb:,.0f} MB)")
        return PhaseSetup(phase, model, metrics, shards, CACHED)
    return PhaseSetup(phase, model, metrics, shards, crop=options.augment.crop)


def _with_targets(source: ArraySource, plan: TrainingPlan) -> ArraySource:
    """Return a source with the targets of a plan: stores and caches only have labels of classes."""
    column = plan.target_column
    shards = (shard for part in (plan.training, plan.validation) for shard in part.shards)
    return replace(
        source, targets=targets_of(plan.dataset, shards, None if column is None else column.name)
    )


def _build_model(plan: TrainingPlan, network: Network, phase: Phase) -> keras.Model:
    """Return a separate model, so that the network itself contains no optimizer state."""
    options, shape = plan.config.options, plan.config.shape
    image = keras.Input(shape.array_shape, dtype="uint8", name="image")
    augmenter = build_augmenter(options.augment, shape, options.seed)
    varied = image if augmenter is None else augmenter(image)
    if phase.trainable == "head":
        assert network.head is not None
        assert network.extractor is not None
        # Dropout inside a frozen backbone would only add noise to its features.
        return keras.Model(image, network.head(network.extractor(varied, training=False)))
    return keras.Model(image, network.model(varied))
