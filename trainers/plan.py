"""A training decided before Keras is loaded, so that what cannot work is said at once."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from records.dataset import open_dataset
from records.errors import DamagedError, UsageError
from records.index import read_index
from records.layout import index_name
from records.storage import is_url
from records.text import printable, redact_url
from trainers.config import FORMAT_VERSION, Architecture, ImageShape, RunConfig
from trainers.models import ModelSpec, find_model
from trainers.run_folder import check_free
from trainers.selection import select_for_training

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from records.dataset import Dataset
    from trainers.options import TrainOptions
    from trainers.selection import Selection

_SHOWN_CLASSES = 5


@dataclass(frozen=True)
class TrainingPlan:
    """Everything that a training does, decided.

    Args:
        dataset: where the images are.
        training: the records to learn from.
        validation: the records to measure on after each epoch.
        run_path: the run's folder, free.
        config: the run's configuration.
        notes: what the user should know before it starts, a line each.
    """

    dataset: Dataset
    training: Selection
    validation: Selection
    run_path: Path
    config: RunConfig
    notes: tuple[str, ...]


def plan_training(
    target: str | os.PathLike[str], run: str | os.PathLike[str], options: TrainOptions
) -> TrainingPlan:
    """Decide a training on the dataset `target` into the folder `run`.

    Raises:
        UsageError: an option does not fit the dataset or the model.
        NoInputError: there is no finished dataset.
        DamagedError: the dataset is damaged as far as names and sizes of its files tell.
        TargetError: something is in `run` already.
    """
    spec = find_model(options.model)
    learning_rate = spec.learning_rate if options.learning_rate is None else options.learning_rate
    if not 0 < learning_rate < float("inf"):
        raise UsageError("a learning rate is larger than 0", got=learning_rate)
    run_path = check_free(run)
    dataset = open_dataset(target)
    training, validation = select_for_training(dataset, options.validation_split)
    check_shards(dataset, training, validation)
    config = RunConfig(
        format_version=FORMAT_VERSION,
        options=options,
        architecture=Architecture(
            options.model,
            choose_shape(dataset, training, options.image_size, spec),
            classes=len(dataset.labels),
        ),
        learning_rate=learning_rate,
        images=dataset.manifest.settings.images,
        dataset=_absolute(os.fspath(target)),
        plan_digests=tuple(part.plan_digest for part in dataset.manifest.generations),
    )
    if options.cache == "memory":
        _check_memory((training.records + validation.records) * config.shape.size_bytes)
    notes = tuple(_notes(dataset, training, validation))
    return TrainingPlan(dataset, training, validation, run_path, config, notes)


def choose_shape(
    dataset: Dataset, training: Selection, image_size: tuple[int, int] | None, spec: ModelSpec
) -> ImageShape:
    """What the model is fed: the size asked for, else the dataset's own, else the model's.

    A dataset has a size of its own where it was converted with `--resize`, or where all its
    training images have one size that is no larger than the model's. It is enlarged to the smallest
    size that the model works on.

    Raises:
        UsageError: the size asked for is too small for the model.
    """
    channels = dataset.manifest.settings.images.channels
    if image_size is not None:
        if min(image_size) < spec.least_side_px:
            raise UsageError(
                "the image size is too small for this model",
                expected=f"at least {spec.least_side_px} px",
                got=f"{image_size[0]}x{image_size[1]}",
            )
        return ImageShape(*image_size, channels)
    height_px, width_px = _own_size(dataset, training, spec.size_px) or spec.size_px
    least_px = spec.least_side_px
    return ImageShape(max(height_px, least_px), max(width_px, least_px), channels)


def _own_size(
    dataset: Dataset, training: Selection, most_px: tuple[int, int]
) -> tuple[int, int] | None:
    resize = dataset.manifest.settings.images.resize
    if resize is not None:
        return resize[1], resize[0]
    sizes: set[tuple[int, int]] = set()
    for shard in training.shards:
        table = read_index(dataset.storage, index_name(shard.name)).table
        unique = table.group_by(["height", "width"]).aggregate([])
        sizes.update(zip(*(unique[side].to_pylist() for side in ("height", "width")), strict=True))
        if len(sizes) > 1:
            return None
    size = sizes.pop()
    return size if size[0] <= most_px[0] and size[1] <= most_px[1] else None


def check_shards(dataset: Dataset, *selections: Selection) -> None:
    """Refuse what the sizes of its files show to be damaged, before hours of work."""
    for shard in {shard for selection in selections for shard in selection.shards}:
        facts = dataset.storage.facts(shard.name)
        if facts is None or facts.size_bytes != shard.bytes:
            raise DamagedError(
                "a shard is missing" if facts is None else "a shard has another size",
                path=dataset.storage.describe(shard.name),
                expected=f"{shard.bytes} bytes",
                got=None if facts is None else f"{facts.size_bytes} bytes",
                hint="`shardmill verify` lists all that is damaged",
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
    counts = dataset[training.split].facts.class_records
    empty = [name for name, count in zip(dataset.labels, counts, strict=True) if not count]
    if empty:
        shown = ", ".join(map(printable, empty[:_SHOWN_CLASSES]))
        more = f" and {len(empty) - _SHOWN_CLASSES} more" * (len(empty) > _SHOWN_CLASSES)
        yield f"no training image is of class {shown}{more}"
