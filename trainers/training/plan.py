"""A training decided before Keras is loaded, so that what cannot work is said at once."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from records.dataset import open_dataset
from records.errors import UsageError
from records.storage import is_url, redact_url
from records.text.escaping import escape_for_display
from trainers.config import FORMAT_VERSION, Architecture, RunConfig
from trainers.input.image_size import resolve_image_size
from trainers.input.selection import check_shards, count_steps, select_for_training
from trainers.models import ModelSpec, find_model
from trainers.runs.create import require_empty
from trainers.runs.resume import find_run, require_compatible
from trainers.training.option_checks import (
    check_options,
    choose_learning_rates,
    choose_weights,
    reads_features,
)
from trainers.training.phases import Phase, plan_phases

if TYPE_CHECKING:
    from collections.abc import Iterator

    from records.dataset import Dataset
    from trainers.input.selection import Selection
    from trainers.options import TrainOptions

_SHOWN_CLASSES = 5


@dataclass(frozen=True)
class TrainingPlan:
    """Everything that a training does, decided.

    Args:
        dataset: where the images are.
        training: the records to learn from.
        validation: the records to measure on after each epoch.
        run_path: the run's folder: free, or of an unfinished run that goes on.
        config: the run's configuration.
        weights: the base's: `imagenet` or a path; None is random ones.
        phases: what trains when.
        notes: what the user should know before it starts, a line each.
    """

    dataset: Dataset
    training: Selection
    validation: Selection
    run_path: Path
    config: RunConfig
    weights: str | None
    phases: tuple[Phase, ...]
    notes: tuple[str, ...]

    @property
    def epoch_steps(self) -> int:
        """The steps of an epoch, the last one with fewer images."""
        return count_steps(self.training.records, self.config.options.batch_size)

    @property
    def epochs(self) -> int:
        """How many epochs there are, where none ends early; the last one may be a part."""
        return count_steps(self.phases[-1].end_step, self.epoch_steps)

    def phases_from(self, step: int) -> tuple[Phase, ...]:
        """The phases that a training at this step has before it, the last one always."""
        return tuple(
            phase for phase in self.phases if step < phase.end_step or phase is self.phases[-1]
        )

    def reads_features(self, phase: Phase) -> bool:
        """Whether a phase is fed the base's features instead of images."""
        return phase.trained == "head" and reads_features(self.config.options)


def plan_training(
    target: str | os.PathLike[str],
    run: str | os.PathLike[str],
    options: TrainOptions,
    *,
    resume: bool = False,
) -> TrainingPlan:
    """Decide a training on the dataset `target` into the folder `run`.

    Args:
        target: a path or URL.
        run: a local folder, new unless `resume`.
        options: what to do.
        resume: whether to go on with a run that is there; where none is, one begins.

    Raises:
        UsageError: an option does not fit the dataset, the model, or the run that is there.
        InputNotFoundError: there is no finished dataset.
        CorruptDataError: the dataset is damaged as far as names and sizes of its files tell.
        OutputError: something is in `run` already.
    """
    spec = find_model(options.model)
    check_options(options, spec)
    found = find_run(run) if resume else None
    run_path = require_empty(run) if found is None else Path(os.fspath(run))
    dataset = open_dataset(target)
    training, validation = select_for_training(dataset, options.validation_split)
    check_shards(dataset, training, validation, sizes=not options.skip_bad)
    rate, head_rate = choose_learning_rates(options, spec)
    config = RunConfig(
        format_version=FORMAT_VERSION,
        options=options,
        architecture=_choose_architecture(options, spec, dataset, training),
        learning_rate=rate,
        images=dataset.manifest.settings.images,
        dataset=_absolute(os.fspath(target)),
        plan_digests=tuple(part.plan_digest for part in dataset.manifest.generations),
    )
    if found is not None:
        require_compatible(found, config, path=str(run_path))
    if options.cache == "memory":
        _check_memory((training.records + validation.records) * config.shape.size_bytes)
    return TrainingPlan(
        dataset,
        training,
        validation,
        run_path,
        config,
        choose_weights(options),
        plan_phases(
            options,
            count_steps(training.records, options.batch_size),
            learning_rate=rate,
            head_learning_rate=head_rate,
        ),
        (_tell_model(config), *_notes(dataset, training, validation)),
    )


def _choose_architecture(
    options: TrainOptions, spec: ModelSpec, dataset: Dataset, training: Selection
) -> Architecture:
    return Architecture(
        model=options.model,
        shape=resolve_image_size(dataset, training, options.image_size, spec),
        classes=len(dataset.labels),
        dropout=options.dropout,
        pooling=options.pooling,
        head_units=options.head_units,
        head_dropout=options.head_dropout,
        l2=options.l2,
    )


def _check_memory(size_bytes: int) -> None:
    memory_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if size_bytes > memory_bytes:
        raise UsageError(
            "the decoded images do not fit into memory",
            expected=f"at most {memory_bytes / 1e9:,.1f} GB",
            got=f"{size_bytes / 1e9:,.1f} GB",
            hint="use --cache disk",
        )


def _absolute(target: str) -> str:
    return redact_url(target) if is_url(target) else os.path.abspath(target)  # noqa: PTH100


def _tell_model(config: RunConfig) -> str:
    options, shape = config.options, config.shape
    count, unit = (options.steps, "step") if options.steps else (options.epochs, "epoch")
    length = f"{count:,} {unit}{'s' * (count > 1)}"
    return (
        f"{options.model}, {options.mode}, {shape.width_px}x{shape.height_px}: "
        f"{length}, {options.batch_size} images a step"
    )


def _notes(dataset: Dataset, training: Selection, validation: Selection) -> Iterator[str]:
    yield f"training on {training.records:,} images of {training.split}"
    if validation.split == "train":
        yield (
            f"validating on {validation.records:,} other images of train, a tenth chosen by the "
            "hash of their keys: the dataset has no validation split"
        )
        if dataset.manifest.settings.group_by is not None:
            yield "that tenth divides groups: convert with --validation to keep them together"
    else:
        yield f"validating on {validation.records:,} images of {validation.split}"
    counts = dataset[training.split].info.class_records
    empty = [name for name, count in zip(dataset.labels, counts, strict=True) if not count]
    if empty:
        shown = ", ".join(map(escape_for_display, empty[:_SHOWN_CLASSES]))
        more = f" and {len(empty) - _SHOWN_CLASSES} more" * (len(empty) > _SHOWN_CLASSES)
        yield f"no training image is of class {shown}{more}"
