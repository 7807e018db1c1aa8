"""Plan of a run: every decision that does not need Keras."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import msgspec

from records.dataset import open_dataset
from records.errors import InputNotFoundError, UsageError
from records.storage import is_url, open_storage, redact_url
from records.storage.exclusive import require_outside
from records.text.escaping import escape_for_display, escape_surrogates
from records.text.formatting import pluralize
from trainers.config import DECODER, FORMAT_VERSION, Architecture, RunConfig
from trainers.features.manifest import read_manifest
from trainers.input.image_size import resolve_image_size
from trainers.input.selection import (
    check_shards,
    count_classes,
    count_steps,
    select_for_training,
    select_known,
)
from trainers.input.shard_cache import check_limit
from trainers.models import ModelSpec, find_model, is_reference, resolve_model
from trainers.models.weights_path import IMAGENET, find_weights
from trainers.runs.create import require_empty
from trainers.runs.resume import find_run, require_compatible
from trainers.runs.run_dir import Run
from trainers.runs.run_folder import open_run_folder
from trainers.tasks import ClassCounts, find_task
from trainers.tasks.target import find_column, fit_target, read_targets
from trainers.training.option_checks import (
    check_options,
    check_task,
    choose_learning_rates,
    choose_weights,
    reads_features,
)
from trainers.training.phases import Phase, plan_phases

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from records.dataset import Dataset
    from records.format.columns import Column
    from records.format.label_map import LabelMap
    from trainers.config import Target
    from trainers.features.manifest import FeatureManifest
    from trainers.input.selection import Selection
    from trainers.options import TrainOptions

_SHOWN_CLASSES = 5


@dataclass(frozen=True)
class TrainingPlan:
    """All decisions of a run.

    Args:
        dataset: the dataset with the images.
        training: the records to train on.
        validation: the records to validate on after each epoch.
        run_location: the path or URL of the run folder: absent, empty, or a run to resume.
        config: the configuration of the run.
        weights: the initial weights of the backbone: `imagenet` or a path; None if random.
        phases: the phases of the run, in order.
        notes: the lines to show before the run starts.
    """

    dataset: Dataset
    training: Selection
    validation: Selection
    run_location: str
    config: RunConfig
    weights: str | None
    phases: tuple[Phase, ...]
    notes: tuple[str, ...]

    @property
    def run(self) -> Run:
        """Return the run, which may not exist yet."""
        return Run(open_run_folder(self.run_location), self.config, self.labels)

    @property
    def labels(self) -> LabelMap:
        """Return the names of the outputs of the model: the classes, or the target."""
        target = self.config.architecture.target
        return self.dataset.labels if target is None else (target.name,)

    @property
    def target_column(self) -> Column | None:
        """Return the column that the model predicts; None if it predicts classes."""
        target = self.config.architecture.target
        return None if target is None else find_column(self.dataset, target.name)

    @property
    def epoch_steps(self) -> int:
        """Return the number of steps per epoch; the last step may have fewer images."""
        return count_steps(self.training.records, self.config.options.batch_size)

    @property
    def epochs(self) -> int:
        """Return the planned number of epochs, the last of which may be incomplete."""
        return count_steps(self.phases[-1].end_step, self.epoch_steps)

    @cached_property
    def class_counts(self) -> ClassCounts | None:
        """Return the counts of the training images if the classes are balanced; otherwise None."""
        if self.config.options.class_weights != "balanced":
            return None
        counts = count_classes(self.dataset, self.training).tolist()
        return ClassCounts(self.training.records, tuple(counts))

    def phases_from(self, step: int) -> tuple[Phase, ...]:
        """Return the phases that are not finished at this step, and always the last phase."""
        return tuple(
            phase for phase in self.phases if step < phase.end_step or phase is self.phases[-1]
        )

    def reads_features(self, phase: Phase) -> bool:
        """Return whether a phase trains from features instead of images."""
        return phase.trainable == "head" and reads_features(self.config.options)


def plan_training(
    location: str | os.PathLike[str],
    run: str | os.PathLike[str],
    options: TrainOptions,
    *,
    resume: bool = False,
) -> TrainingPlan:
    """Plan a training run on the dataset at `location`.

    Args:
        location: the path or URL of the dataset.
        run: the path or URL of the run folder, which must be absent or empty, unless `resume` is
            set.
        options: the options of the run; the model may be given as `package.module:builder`.
        resume: whether to continue an existing run; if no run exists, a new one starts.

    Raises:
        UsageError: an option conflicts with the dataset, the model or the existing run; or `run` is
            inside the dataset.
        InputNotFoundError: `location` is not a finished dataset, or the weights or the feature
            store of the options do not exist.
        CorruptDataError: a shard is missing, or its size differs from the manifest.
        OutputError: `run` is a file, or a folder that contains files but no run to resume.
    """
    found = find_run(run) if resume else None
    name = found.options.model if found and is_reference(options.model) else None
    options = msgspec.structs.replace(options, model=resolve_model(options.model, name))
    spec = find_model(options.model)
    check_options(options, spec)
    run_location = os.fspath(run)
    if found is None:
        require_empty(run, dataset=location, resume=resume)
    dataset = open_dataset(location)
    if found is None:
        require_outside(run_location, dataset.location)
    training, validation, unknown = _select(dataset, options)
    skipped: frozenset[tuple[str, int]] = frozenset()
    if options.features is not None:
        store = _read_store(options.features)
        skipped = store.skipped_in((*training.shards, *validation.shards))
    check_shards(dataset, training, validation, sizes=not (options.skip_bad or skipped))
    # The scale of a target depends on all records, because --resume may name another store.
    architecture = _choose_architecture(options, spec, dataset, training)
    check_task(options, spec, find_task(architecture.task, architecture.target))
    training, validation = training.excluding(skipped), validation.excluding(skipped)
    weights = choose_weights(options)
    if weights not in {None, IMAGENET}:
        find_weights(str(weights), options.model)
    rate, head_rate = choose_learning_rates(options, spec)
    config = RunConfig(
        format_version=FORMAT_VERSION,
        options=options,
        architecture=architecture,
        learning_rate=rate,
        images=dataset.manifest.settings.images,
        dataset=_absolute(os.fspath(location)),
        plan_digests=tuple(part.plan_digest for part in dataset.manifest.generations),
        decoder=DECODER if found is None else found.decoder,
    )
    if found is not None:
        require_compatible(found, config, path=redact_url(run_location))
    if options.cache == "memory":
        _check_memory((training.records + validation.records) * config.shape.size_bytes)
    if options.cache == "shards":
        check_limit((*training.shards, *validation.shards), options.cache_limit_gb)
    return TrainingPlan(
        dataset,
        training,
        validation,
        run_location,
        config,
        weights,
        plan_phases(
            options,
            count_steps(training.records, options.batch_size),
            learning_rate=rate,
            head_learning_rate=head_rate,
        ),
        (
            _describe_model(config),
            *_note_splits(training, validation),
            *(
                _note_classes(dataset, training)
                if architecture.target is None
                else _note_target(architecture.target, unknown)
            ),
            *_note_skipped(skipped),
        ),
    )


def _select(dataset: Dataset, options: TrainOptions) -> tuple[Selection, Selection, int]:
    """Return the records to train on and to validate on, and the number of those without target."""
    training, validation = select_for_training(dataset, options.validation_split)
    if options.target is None:
        return training, validation, 0
    name = find_column(dataset, options.target).name
    known = [select_known(dataset, part, name) for part in (training, validation)]
    images = training.records + validation.records
    return known[0], known[1], images - sum(part.records for part in known)


def _choose_architecture(
    options: TrainOptions, spec: ModelSpec, dataset: Dataset, training: Selection
) -> Architecture:
    target = None
    if options.target is not None:
        pairs = zip(training.shards, training.shard_masks, strict=True)
        values = (read_targets(dataset, shard, options.target)[known] for shard, known in pairs)
        target = fit_target(dataset, options.target, values)
    return Architecture(
        model=options.model,
        shape=resolve_image_size(dataset, training, options.image_size, spec),
        classes=len(dataset.labels) if target is None else 1,
        dropout=options.dropout,
        pooling=options.pooling,
        head_units=options.head_units,
        head_dropout=options.head_dropout,
        l2=options.l2,
        task=dataset.manifest.settings.task if target is None else "regression",
        target=target,
    )


def _read_store(location: str) -> FeatureManifest:
    storage = open_storage(location)
    manifest = read_manifest(storage)
    if manifest is None:
        raise InputNotFoundError(
            "not a finished feature store",
            path=escape_for_display(location),
            hint="create or resume the store with `shardmill featurize`",
        )
    return manifest


def _check_memory(size_bytes: int) -> None:
    memory_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if size_bytes > memory_bytes:
        raise UsageError(
            "the decoded images do not fit in memory",
            expected=f"at most {memory_bytes / 1e9:,.1f} GB",
            got=f"{size_bytes / 1e9:,.1f} GB",
            hint="use --cache disk",
        )


def _absolute(location: str) -> str:
    path = redact_url(location) if is_url(location) else os.path.abspath(location)  # noqa: PTH100
    return escape_surrogates(path)


def _describe_model(config: RunConfig) -> str:
    options, shape = config.options, config.shape
    count, unit = (options.steps, "step") if options.steps else (options.epochs, "epoch")
    return (
        f"{options.model}, {options.mode}, {shape.width_px}x{shape.height_px}: "
        f"{pluralize(count, unit)}, {pluralize(options.batch_size, 'image')} per step"
    )


def _note_skipped(skipped: Collection[tuple[str, int]]) -> Iterator[str]:
    if skipped:
        records = pluralize(len(skipped), "damaged record")
        yield f"leaving out {records} of which the feature store has no features"


def _note_splits(training: Selection, validation: Selection) -> Iterator[str]:
    yield f"training on {pluralize(training.records, 'image')} of {training.split}"
    if validation.split == "train":
        yield (
            "the dataset has no validation split: holding out a tenth of train for validation, "
            f"{pluralize(validation.records, 'image')} chosen by the hash of their keys or groups"
        )
    else:
        yield f"validating on {pluralize(validation.records, 'image')} of {validation.split}"


def _note_target(target: Target, unknown: int) -> Iterator[str]:
    column = escape_for_display(target.name)
    yield f"predicting {column}: {target.mean:.4g} ± {target.deviation:.4g} in the training images"
    if unknown:
        yield f"leaving out {pluralize(unknown, 'image')} without a value of {column}"


def _note_classes(dataset: Dataset, training: Selection) -> Iterator[str]:
    note = find_task(dataset.manifest.settings.task).describe_classes(dataset.labels)
    if note is not None:
        columns = dataset.manifest.settings.columns
        numbers = [column.name for column in columns if column.type != "string"]
        hint = "; to predict a number, add --target {}"
        yield note + (hint.format(escape_for_display(numbers[0])) if numbers else "")
    counts = (
        dataset[training.split].info.class_records
        if training.mask is None
        else count_classes(dataset, training).tolist()
    )
    empty = [name for name, count in zip(dataset.labels, counts, strict=True) if not count]
    if empty:
        shown = ", ".join(map(escape_for_display, empty[:_SHOWN_CLASSES]))
        more = f" and {len(empty) - _SHOWN_CLASSES} more" * (len(empty) > _SHOWN_CLASSES)
        yield f"classes without training images: {shown}{more}"
