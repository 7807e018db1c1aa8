"""Lines that describe a planned run to the user."""

from __future__ import annotations

from typing import TYPE_CHECKING

from records.text.escaping import escape_for_display
from records.text.formatting import pluralize
from trainers.advice import advise_on_imbalance, list_classes
from trainers.balance import describe_balance
from trainers.input.selection import count_classes
from trainers.options import Fold
from trainers.tasks import find_task

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from records.dataset import Dataset
    from trainers.config import RunConfig, Target
    from trainers.input.selection import Selection
    from trainers.models.hub.preset import Preset
    from trainers.options import TrainOptions


def describe_model(config: RunConfig) -> str:
    """Return the model, the length and the settings of the optimization of a run."""
    options, shape = config.options, config.shape
    count, unit = (options.steps, "step") if options.steps else (options.epochs, "epoch")
    return (
        f"{options.model}, {options.mode}, {shape.width_px}x{shape.height_px}: "
        f"{pluralize(count, unit)}, {pluralize(options.batch_size, 'image')} per step, "
        f"learning rate {config.learning_rate:g}, {options.schedule}"
    )


def note_groups(options: TrainOptions) -> Iterator[str]:
    """Yield lines about the groups of layers in fine-tuning."""
    if options.unfreeze_epochs:
        epochs = pluralize(options.unfreeze_epochs, "epoch")
        yield f"unfreezing the backbone gradually in {epochs}; --summary lists the groups of layers"
    if options.layer_decay is not None:
        yield (
            "the learning rate of each group of layers is that of the group before it, from the "
            f"head on, multiplied by {options.layer_decay:g}; --summary lists the groups"
        )


def note_preset(preset: Preset | None) -> Iterator[str]:
    """Yield a line about a preset that does not describe the pixels of its images."""
    if preset is not None and not preset.has_converter:
        yield "the preset has no image_converter.json: pixels are scaled to 0–1"


def note_skipped(skipped: Collection[tuple[str, int]]) -> Iterator[str]:
    """Yield a line about records of which a feature store has no features."""
    if skipped:
        records = pluralize(len(skipped), "damaged record")
        yield f"leaving out {records} of which the feature store has no features"


def note_splits(training: Selection, validation: Selection, fold: str | None) -> Iterator[str]:
    """Yield lines about the images to train on and to validate on."""
    trained = f"training on {pluralize(training.records, 'image')} of {training.split}"
    if fold is not None:
        number, folds = Fold.parse(fold)
        yield f"fold {number} of {folds}: {trained}, validating on {validation.records:,}"
        return
    yield trained
    if validation.split == "train":
        yield (
            f"the dataset has no validation split: holding out {validation.records:,} of "
            f"{pluralize(training.records + validation.records, 'image')} of train for validation, "
            "chosen by the hash of their keys or groups"
        )
    else:
        yield f"validating on {pluralize(validation.records, 'image')} of {validation.split}"


def note_target(target: Target, unknown: int) -> Iterator[str]:
    """Yield lines about a target, and about images without a value."""
    column = escape_for_display(target.name)
    yield f"predicting {column}: {target.mean:.4g} ± {target.deviation:.4g} in the training images"
    if unknown:
        yield f"leaving out {pluralize(unknown, 'image')} without a value of {column}"


def note_classes(dataset: Dataset, training: Selection, options: TrainOptions) -> Iterator[str]:
    """Yield lines about the classes, those with few or no images, and balanced epochs."""
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
        yield f"classes without training images: {list_classes(empty)}"
    if options.balanced:
        yield describe_balance(counts, dataset.labels)
    elif not dataset.manifest.settings.is_multi_label:
        yield from advise_on_imbalance(counts, dataset.labels, options)
