"""Planning of a run: every decision that does not need Keras."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from records.dataset import open_dataset
from records.errors import InputNotFoundError, UsageError
from records.storage import is_url, open_storage, redact_url
from records.storage.exclusive import require_outside
from records.text.escaping import escape_for_display, escape_surrogates
from trainers.advice import advise_on_batches
from trainers.config import DECODER, FORMAT_VERSION, Architecture, RunConfig
from trainers.features.manifest import read_manifest
from trainers.input.image_size import resolve_image_size
from trainers.input.selection import (
    check_shards,
    count_steps,
    select_for_training,
    select_known,
)
from trainers.input.shard_cache import check_limit
from trainers.models import ModelSpec, find_model, is_reference, resolve_model
from trainers.models.hub.preset import resolve_preset
from trainers.models.weights_path import require_weights
from trainers.notes import (
    describe_model,
    note_classes,
    note_groups,
    note_preset,
    note_skipped,
    note_splits,
    note_target,
)
from trainers.runs.create import require_empty
from trainers.runs.resume import find_run, require_compatible
from trainers.tasks.target import find_column, fit_target, read_targets
from trainers.training.planning.option_checks import (
    check_options,
    check_task,
    choose_learning_rates,
    choose_weights,
)
from trainers.training.planning.phases import Phase, plan_phases
from trainers.training.planning.plan import TrainingPlan

if TYPE_CHECKING:
    from collections.abc import Callable

    from records.dataset import Dataset
    from trainers.features.manifest import FeatureManifest
    from trainers.input.selection import Selection
    from trainers.models.hub.preset import Preset
    from trainers.options import TrainOptions


def plan_training(
    location: str | os.PathLike[str],
    run: str | os.PathLike[str],
    options: TrainOptions,
    *,
    resume: bool = False,
    choices: tuple[str, ...] = (),
    time_limit_seconds: float | None = None,
) -> TrainingPlan:
    """Plan a training run on the dataset at `location`.

    Args:
        location: the path or URL of the dataset.
        run: the path or URL of the run folder, which must be absent or empty, unless `resume` is
            set.
        options: the options of the run; the model may be given as `package.module:builder`.
        resume: whether to continue an existing run; if no run exists, a new one starts.
        choices: the choices of a recipe for a new run, each with its reason.
        time_limit_seconds: the time for a new run, from its first step on; None means no limit.

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
    spec, preset = resolve_preset(spec)
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
    architecture = _choose_architecture(options, spec, preset, dataset, training)
    check_task(options, spec, architecture, dataset.labels)
    training, validation = training.excluding(skipped), validation.excluding(skipped)
    weights = choose_weights(options)
    require_weights(weights, options.model)
    rate, head_rate = choose_learning_rates(options, spec)
    find_phases = partial(
        plan_phases,
        epoch_steps=count_steps(training.records, options.batch_size),
        learning_rate=rate,
        head_learning_rate=head_rate,
    )
    restarts = _find_restarts(found, options, find_phases)
    config = RunConfig(
        format_version=FORMAT_VERSION,
        options=options.without_credentials(),
        architecture=architecture,
        learning_rate=rate,
        images=dataset.manifest.settings.images,
        dataset=_absolute(os.fspath(location)),
        plan_digests=tuple(part.plan_digest for part in dataset.manifest.generations),
        decoder=DECODER if found is None else found.decoder,
        restarts=restarts,
        **_kept_settings(found, choices, time_limit_seconds),
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
        options.features,
        find_phases(options, restarts=restarts),
        (
            *config.choices,
            describe_model(config),
            *note_preset(preset),
            *note_groups(options),
            *note_splits(training, validation, options.fold),
            *advise_on_batches(training.records, options),
            *(
                note_classes(dataset, training, options)
                if architecture.target is None
                else note_target(architecture.target, unknown)
            ),
            *note_skipped(skipped),
        ),
    )


def _select(dataset: Dataset, options: TrainOptions) -> tuple[Selection, Selection, int]:
    """Return the records to train on and to validate on, and the number of those without target."""
    training, validation = select_for_training(dataset, options.validation_split, options.fold)
    if options.target is None:
        return training, validation, 0
    name = find_column(dataset, options.target).name
    known = [select_known(dataset, part, name) for part in (training, validation)]
    images = training.records + validation.records
    return known[0], known[1], images - sum(part.records for part in known)


def _kept_settings(
    found: RunConfig | None, choices: tuple[str, ...], time_limit_seconds: float | None
) -> dict[str, Any]:
    """Return the settings of a new run that a resumed run keeps."""
    if found is not None:
        choices, time_limit_seconds = found.choices, found.time_limit_seconds
    return {"choices": choices, "time_limit_seconds": time_limit_seconds}


def _find_restarts(
    found: RunConfig | None,
    options: TrainOptions,
    find_phases: Callable[[TrainOptions], tuple[Phase, ...]],
) -> tuple[int, ...]:
    """Return the restarts of the schedule of a run; if it becomes longer, its old end is added.

    A constant learning rate has no end, so a longer run is the same as one that was planned so.
    """
    if found is None:
        return ()
    if options.schedule == "constant":
        return found.restarts
    before, now = (find_phases(each)[-1].end_step for each in (found.options, options))
    return (*found.restarts, before) if now > before else found.restarts


def _choose_architecture(
    options: TrainOptions,
    spec: ModelSpec,
    preset: Preset | None,
    dataset: Dataset,
    training: Selection,
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
        backbone=None if preset is None else preset.backbone,
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
