"""The compiled model and the input of a phase."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import keras
import tensorflow as tf

from trainers.augment.layers import build_augmenter
from trainers.augment.mixing import Mixer, MixingModel, with_label_inputs
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
from trainers.models.freezing import find_rate_factors, freeze_backbone, unfreeze_backbone
from trainers.models.registry import find_model
from trainers.tasks import task_of
from trainers.tasks.target import targets_of
from trainers.training.compile import CompiledMetrics, compile_model, shorten_moving_averages

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from trainers.input.selection import Selection
    from trainers.input.tensor_files import ArraySource
    from trainers.models.build import Network
    from trainers.options import TrainOptions
    from trainers.training.planning import TrainingPlan
    from trainers.training.planning.phases import Phase

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
        return self.as_input(self.reading.shuffled(self.source, selection, batch_size, order))

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
        return self.as_input(batches if divisor == 1 else _cut_batches(batches, divisor))

    def as_input(self, batches: tf.data.Dataset) -> tf.data.Dataset:
        """Return batches of images and labels in the form that the model accepts."""
        return with_label_inputs(batches) if isinstance(self.model, MixingModel) else batches


def _cut_batches(batches: tf.data.Dataset, divisor: int) -> tf.data.Dataset:
    def cut(inputs: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        images = tf.shape(labels)[0] // divisor * divisor
        return inputs[:images], labels[:images]

    return batches.map(no_autograph(cut)).filter(
        no_autograph(lambda _, labels: tf.size(labels) > 0)
    )


def shard_source(plan: TrainingPlan, damaged: frozenset[str] = frozenset()) -> ShardSource:
    """Return the records of the dataset of a plan; see `ShardSource.from_dataset`."""
    config = plan.config
    return ShardSource.from_dataset(plan.dataset, config.shape, damaged, decoder=config.decoder)


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
    labelled = shard_source(plan, damaged)
    shards = labelled.with_target(plan.target_column)
    parts = plan.training, plan.validation
    model, metrics = compile_phase_model(plan, network, phase, options, plan.class_weights)
    if plan.reads_features(phase):
        source = load_or_extract(
            plan.dataset,
            parts,
            network,
            plan.config.architecture,
            store=plan.features,
            skip_bad=options.skip_bad,
            decoder=plan.config.decoder,
            on_message=on_message,
            on_progress=on_progress,
        )
        source = _with_targets(source, plan)
        size_bytes = sum(part.records * source.format.record_bytes for part in parts)
        reading = IN_MEMORY if size_bytes <= _IN_MEMORY_BYTES else STREAMING
        # The plan has left out the records that a named store does not have.
        skipped = source.skipped if plan.features is None else frozenset[tuple[str, int]]()
        return PhaseSetup(phase, model, metrics, source, reading, skipped=skipped)
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


def compile_phase_model(
    plan: TrainingPlan,
    network: Network,
    phase: Phase,
    options: TrainOptions,
    class_weights: NDArray[np.float64] | None = None,
) -> tuple[keras.Model, CompiledMetrics]:
    """Return the compiled model of a phase, and its metrics; see `build_phase_model`.

    Args:
        plan: the plan of the run.
        network: the network, whose layers are frozen and unfrozen.
        phase: the phase.
        options: the options of the optimization, which may differ from those of the plan.
        class_weights: the class weights; None for equal weights.
    """
    model = build_phase_model(plan, network, phase)
    factors = find_rate_factors(network, options)
    task = task_of(plan.config)
    return model, compile_model(model, options, phase, task, class_weights, rate_factors=factors)


def build_phase_model(plan: TrainingPlan, network: Network, phase: Phase) -> keras.Model:
    """Freeze and unfreeze layers for a phase, and return its model, which is not compiled.

    The model is separate from the network, so that the network contains no optimizer state. It maps
    images or, if the phase reads features, features to logits; see also `MixingModel`.
    """
    options, shape = plan.config.options, plan.config.shape
    if phase.trainable == "head":
        freeze_backbone(network)
    if phase.trainable == "unfrozen":
        unfreeze_backbone(network, options.unfreeze, phase.part)
    if phase.trainable == "all" and find_model(options.model).custom is None:
        steps = min(plan.epoch_steps, phase.end_step - phase.first_step)
        shorten_moving_averages(network.model, steps)
    if plan.reads_features(phase):
        assert network.head is not None  # the plan has checked that
        return keras.Model(network.head.inputs, network.head.outputs[0])
    image = keras.Input(shape.array_shape, dtype="uint8", name="image")
    augmenter = build_augmenter(options.augment, shape, options.seed)
    varied = image if augmenter is None else augmenter(image)
    if not options.augment.mixes_images:
        return keras.Model(image, _compute_logits(network, phase, varied))
    classes = plan.config.architecture.classes
    labels = task_of(plan.config).no_labels(classes)
    kind = "int32" if labels.dtype.kind == "i" else "float32"
    label = keras.Input(labels.shape[1:], dtype=kind, name="label")
    mixed, shares = Mixer(options.augment, classes, options.seed)(varied, label)
    return MixingModel([image, label], [_compute_logits(network, phase, mixed), shares])


def _compute_logits(network: Network, phase: Phase, image: keras.KerasTensor) -> keras.KerasTensor:
    if phase.trainable != "head":
        return network.model(image)
    assert network.head is not None
    assert network.extractor is not None
    # Dropout inside a frozen backbone would only add noise to its features.
    return network.head(network.extractor(image, training=False))
