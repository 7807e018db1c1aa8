"""Advice for the user about a run, with the options that help."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from records.text.escaping import escape_for_display
from records.text.formatting import pluralize
from trainers.options import Augmentation

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trainers.options import TrainOptions
    from trainers.runs.history import EpochMetrics

_OVERFITTING_EPOCHS = 3
_GROWTH, _RISE = 3.0, 0.5
"""The factor and the difference to an earlier loss from which a loss has exploded."""
_WORSE_THAN_GUESSING = 5.0
"""The factor to the loss of guessing from which the loss of the first epoch has exploded."""
_SHOWN_CLASSES = 5
_RARE = 3
"""The factor from the images of a class to those of another one from which it is rare."""


def advise_on_batches(images: int, options: TrainOptions) -> Iterator[str]:
    """Yield a line if all training images fit in one batch: an epoch is then a single step."""
    if images <= options.batch_size and images > 1:
        yield (
            "all training images fit in one batch, so an epoch has one step: try --batch-size "
            f"{max(images // 8, 1)}"
        )


def advise_on_imbalance(
    counts: Sequence[int], labels: Sequence[str], options: TrainOptions
) -> Iterator[str]:
    """Yield a line if a class is rare, and no option balances the classes.

    Args:
        counts: the number of training images of each class.
        labels: the names of the classes.
        options: the options of the run.
    """
    present = [(count, name) for count, name in zip(counts, labels, strict=True) if count]
    if not present or options.balanced or options.class_weights != "none":
        return
    (most, frequent), (least, rare) = max(present), min(present)
    if most >= _RARE * least:
        yield (
            f"{escape_for_display(rare)} has {pluralize(least, 'training image')}, and "
            f"{escape_for_display(frequent)} has {most:,}: --balanced or --class-weights balanced "
            "may help rare classes"
        )


def advise_on_overfitting(epochs: Sequence[EpochMetrics], options: TrainOptions) -> str | None:
    """Return a line if a run has begun to overfit in its last epoch; None before and afterwards.

    Args:
        epochs: the epochs of a phase so far.
        options: the options of the run; the line names only options that the user has not used.
    """
    if not _is_overfitting(epochs) or any(
        _is_overfitting(epochs[:end]) for end in range(len(epochs))
    ):
        return None
    options_that_help = []
    if options.early_stopping is None:
        options_that_help.append(f"--early-stopping {_OVERFITTING_EPOCHS}")
    if options.augment == Augmentation():
        options_that_help.append("--augment, such as --augment zoom=0.2,shift=0.1")
    if not options_that_help:
        return None
    return (
        f"the validation loss rose in {_OVERFITTING_EPOCHS} epochs while the training loss fell, "
        f"so the model probably overfits: try {' or '.join(options_that_help)}"
    )


def _is_overfitting(epochs: Sequence[EpochMetrics]) -> bool:
    """Return whether in each of the last epochs only the validation loss has risen."""
    last = epochs[-_OVERFITTING_EPOCHS - 1 :]
    return len(last) > _OVERFITTING_EPOCHS and all(
        after.val_loss > before.val_loss and after.loss < before.loss
        for before, after in pairwise(last)
    )


def advise_on_epoch(
    epochs: Sequence[EpochMetrics],
    options: TrainOptions,
    *,
    learning_rate: float,
    loss_of_guessing: float | None,
) -> Iterator[str]:
    """Yield a line for each problem that the last epoch of a phase shows first.

    Args:
        epochs: the epochs of the phase so far, at least one.
        options: the options of the run.
        learning_rate: the highest learning rate of the phase.
        loss_of_guessing: as for `advise_on_divergence`.
    """
    overfitting = advise_on_overfitting(epochs, options)
    if overfitting is not None:
        yield overfitting
    diverging = advise_on_divergence(epochs, learning_rate, loss_of_guessing)
    if diverging is not None:
        yield diverging


def advise_on_divergence(
    epochs: Sequence[EpochMetrics], learning_rate: float, loss_of_guessing: float | None
) -> str | None:
    """Return a line if the training loss has exploded in the last epoch; None afterwards.

    Args:
        epochs: the epochs of a phase so far.
        learning_rate: the highest learning rate of the phase.
        loss_of_guessing: the loss of a model whose output does not depend on the image; None if it
            is unknown.
    """
    losses = [epoch.loss for epoch in epochs]
    bound = None if loss_of_guessing is None else _WORSE_THAN_GUESSING * loss_of_guessing
    ends = range(1, len(losses) + 1)
    if [end for end in ends if _has_exploded(losses[:end], bound)] != [len(losses)]:
        return None
    earlier = min(losses[:-1], default=None)
    if earlier is None:
        rise = f"is {losses[-1]:.3g}, that of a model that guesses {loss_of_guessing:.3g}"
    else:
        rise = f"rose from {earlier:.3g} to {losses[-1]:.3g}"
    return (
        f"the training loss {rise}, so the learning rate is probably too high: "
        f"try --learning-rate {learning_rate / 10:.1g}"
    )


def _has_exploded(losses: Sequence[float], bound: float | None) -> bool:
    """Return whether the last loss is much higher than an earlier one, or than the bound."""
    if len(losses) == 1:
        return bound is not None and losses[0] > bound
    lowest = min(losses[:-1])
    return losses[-1] > _GROWTH * lowest and losses[-1] - lowest > _RISE


def advise_on_unpredicted(
    labels: Sequence[int], names: Sequence[str], options: TrainOptions, learning_rate: float
) -> str | None:
    """Return a line if the kept weights predict a class for none of the validation images.

    Args:
        labels: the classes that validation images have, but no image is predicted as.
        names: the names of all classes.
        options: the options of the run; the line names only options that the user has not used.
        learning_rate: the learning rate of the run.
    """
    if not labels:
        return None
    never = list_classes([names[label] for label in labels])
    if len(labels) >= len(names) - 1 > 1:
        help_ = f"--learning-rate {learning_rate / 10:.1g} or more --epochs"
    elif options.class_weights == "none":
        help_ = "--class-weights balanced or more --epochs"
    else:
        help_ = "more --epochs, or add images of the class"
    return f"no validation image is predicted as {never}: try {help_}"


def describe_best_epoch(epochs: Sequence[EpochMetrics], best: EpochMetrics) -> str | None:
    """Return a line if a run keeps the weights of an epoch before its last one.

    Args:
        epochs: the epochs of the last phase.
        best: the epoch whose weights are kept.
    """
    if not epochs or epochs[-1].epoch == best.epoch:
        return None
    last = epochs[-1]
    return (
        f"the best epoch is {best.epoch}, with the validation loss {best.val_loss:.3f}; the "
        f"weights of the last epoch, {last.epoch} ({last.val_loss:.3f}), are in last.weights.h5"
    )


def list_classes(names: Sequence[str]) -> str:
    """Return the first names of classes, and the number of the others."""
    shown = ", ".join(map(escape_for_display, names[:_SHOWN_CLASSES]))
    return shown + f" and {len(names) - _SHOWN_CLASSES} more" * (len(names) > _SHOWN_CLASSES)
