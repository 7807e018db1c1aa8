"""Tests of the advice on runs."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from trainers.advice import (
    advise_on_batches,
    advise_on_divergence,
    advise_on_imbalance,
    advise_on_overfitting,
    advise_on_unpredicted,
    describe_best_epoch,
)
from trainers.options import Augmentation, TrainOptions
from trainers.runs.history import EpochMetrics


def make_epochs(losses: Sequence[tuple[float, float]]) -> list[EpochMetrics]:
    """Return epochs with these training and validation losses."""
    return [
        EpochMetrics(epoch, 0.5, loss, 0.5, val_loss, 1e-3, 1.0)
        for epoch, (loss, val_loss) in enumerate(losses, start=1)
    ]


def advice(losses: Sequence[tuple[float, float]], **options: object) -> list[int]:
    """Return the numbers of the epochs after which there is advice."""
    epochs = make_epochs(losses)
    chosen = TrainOptions(**options)  # type: ignore[arg-type]
    ends = range(1, len(epochs) + 1)
    return [end for end in ends if advise_on_overfitting(epochs[:end], chosen) is not None]


OVERFITTING = [
    (9, 5),
    (8, 4),
    (7, 4.1),
    (6, 4.2),
    (5, 4.3),
    (4, 4.4),
    (3, 3),
    (2, 4),
    (1, 5),
    (0, 6),
]


def test_overfitting_run_has_advice_once_in_the_third_epoch_of_rising_validation_loss() -> None:
    assert advice(OVERFITTING) == [5]


@pytest.mark.parametrize(
    "losses",
    [
        [],
        [(1, 1)],
        [(9, 1), (8, 2), (7, 3)],
        [(9, 1), (8, 2), (8, 3), (7, 4)],
        [(9, 1), (8, 2), (7, 2), (6, 3), (5, 4)],
        [(1, 1), (2, 2), (3, 3), (4, 4), (5, 5)],
        [(9, 1), (8, 2), (7, float("nan")), (6, 3), (5, 4)],
    ],
)
def test_run_whose_losses_do_not_part_has_no_advice(losses: list[tuple[float, float]]) -> None:
    assert advice(losses) == []


def test_advice_names_only_options_that_are_not_used() -> None:
    epochs = make_epochs(OVERFITTING[:5])
    lines = [
        str(advise_on_overfitting(epochs, options))
        for options in (
            TrainOptions(),
            TrainOptions(augment=Augmentation("horizontal")),
            TrainOptions(early_stopping=9),
        )
    ]
    assert [("--early-stopping 3" in line, "--augment" in line) for line in lines] == [
        (True, True), (True, False), (False, True),
    ]  # fmt: skip
    both = TrainOptions(early_stopping=9, augment=Augmentation("horizontal"))
    assert advise_on_overfitting(epochs, both) is None


@pytest.mark.parametrize(("images", "advised"), [(1, False), (2, True), (32, True), (33, False)])
def test_images_of_one_batch_have_advice(images: int, advised: bool) -> None:
    lines = list(advise_on_batches(images, TrainOptions(batch_size=32)))
    assert bool(lines) == advised
    assert not advised or f"try --batch-size {max(images // 8, 1)}" in lines[0]


@pytest.mark.parametrize(("best", "named"), [(2, True), (3, False)])
def test_best_epoch_before_the_last_is_named_with_the_file_of_the_last(
    best: int, named: bool
) -> None:
    epochs = make_epochs([(1, 3), (1, 1), (1, 2)])
    line = describe_best_epoch(epochs, epochs[best - 1])
    assert (line is not None) == named
    assert line is None or line.startswith("the best epoch is 2, with the validation loss 1.000; ")
    assert line is None or line.endswith("(2.000), are in last.weights.h5")


@pytest.mark.parametrize(
    ("losses", "guessing", "ends"),
    [
        ([2, 1, 5, 7, 20], 1.0, [3]),
        ([2, 1, 2.9, 0.5], 1.0, []),
        ([0.001, 0.01, 0.2], 1.0, []),
        ([5.1, 2, 1], 1.0, [1]),
        ([900, 1.1, 1.1], 1.1, [1]),
        ([900, 1.1, 1.1], None, []),
        ([1, 0.9], 1.0, []),
    ],
)
def test_training_loss_that_explodes_has_advice_once(
    losses: list[float], guessing: float | None, ends: list[int]
) -> None:
    epochs = make_epochs([(loss, 1) for loss in losses])
    lines = {
        end: advise_on_divergence(epochs[:end], 0.02, guessing) for end in range(1, len(epochs) + 1)
    }
    assert [end for end in lines if lines[end] is not None] == ends
    assert all(str(lines[end]).endswith("try --learning-rate 0.002") for end in ends)


@pytest.mark.parametrize(
    ("counts", "options", "expected"),
    [
        ((24, 6, 0), TrainOptions(), "b has 6 training images, and a has 24: --balanced or"),
        ((1, 3, 2), TrainOptions(), "a has 1 training image, and b has 3: --balanced or"),
        ((24, 9, 0), TrainOptions(), None),
        ((0, 0, 0), TrainOptions(), None),
        ((24, 6, 6), TrainOptions(balanced=True), None),
        ((24, 6, 6), TrainOptions(class_weights={"b": 4.0}), None),
    ],
)
def test_rare_class_has_advice_unless_an_option_balances(
    counts: tuple[int, ...], options: TrainOptions, expected: str | None
) -> None:
    lines = [*advise_on_imbalance(counts, ("a", "b", "c"), options)]
    assert len(lines) == (expected is not None)
    assert all(line.startswith(str(expected)) for line in lines)


@pytest.mark.parametrize(
    ("labels", "options", "expected"),
    [
        ((), TrainOptions(), None),
        ((1,), TrainOptions(), "predicted as b: try --class-weights balanced or more --epochs"),
        ((1,), TrainOptions(class_weights="balanced"), "predicted as b: try more --epochs, or add"),
        ((0, 1), TrainOptions(), "predicted as a, b: try --learning-rate 0.0001 or more --epochs"),
    ],
)
def test_class_that_is_never_predicted_has_advice(
    labels: tuple[int, ...], options: TrainOptions, expected: str | None
) -> None:
    line = advise_on_unpredicted(labels, ("a", "b", "c"), options, 1e-3)
    assert (line is None) == (expected is None)
    assert expected is None or expected in str(line)
