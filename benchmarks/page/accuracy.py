"""Tables of accuracy, for the pages of the commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.harness.seeds import mean_of, values_of
from benchmarks.inputs.real_photos import split_case
from benchmarks.page.tables import markdown
from benchmarks.suites import imbalance, label_errors, label_loop, pointing_game, rejection

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.harness.samples import Result, Sample

_PHOTOS = {"flowers": "flowers", "cats_and_dogs": "cats and dogs"}


def label_errors_table(result: Result) -> str:
    """Return a table of the wrong labels that each method finds, as means over all seeds."""
    rows = []
    for sample in result.samples:

        def mean(name: str, figures: dict[str, float] = sample.figures) -> float | None:
            values = values_of(figures, name)
            return mean_of(values) if values else None

        first = [mean(label_errors.precision_at(count)) for count in label_errors.FIRST]
        rows.append(
            [
                _describe_case(sample),
                sample.contestant,
                _count(mean(label_errors.FLIPPED)),
                _count(mean(label_errors.CANDIDATES)),
                *map(_percent, first),
                _percent(mean(label_errors.AT_FLIPPED)),
                _count(mean(label_errors.ALSO_WRONG)),
                _percent(mean(label_errors.RECALL)),
            ]
        )
    heads = [
        "photos, share of wrong labels",
        "method",
        "wrong labels",
        "candidates",
        *(f"precision at {count}" for count in label_errors.FIRST),
        "recall among as many candidates as wrong labels",
        "others that are wrong too",
        "recall among all candidates",
    ]
    return markdown(heads, rows)


def label_loop_table(result: Result) -> str:
    """Return a table of the accuracy before and after corrections: mean and range of all seeds."""
    rows = []
    for sample in result.samples:
        found = mean_of(values_of(sample.figures, label_loop.FOUND))
        flipped = mean_of(values_of(sample.figures, label_loop.FLIPPED))
        candidates = mean_of(values_of(sample.figures, label_loop.CANDIDATES))
        states = (label_loop.BEFORE, label_loop.AUTOMATIC, label_loop.LOOKED, label_loop.CLEAN)
        rows.append(
            [
                _describe_case(sample),
                f"{found:.0f} of {flipped:.0f}",
                f"{candidates:.0f}",
                f"{mean_of(values_of(sample.figures, label_loop.LEFT)):.0f}",
                *(_range(values_of(sample.figures, state)) for state in states),
            ]
        )
    heads = [
        "photos, share of wrong labels",
        "found",
        "candidates",
        "wrong after all suggestions",
        "accuracy before",
        "all suggestions",
        "only right suggestions",
        "no wrong labels",
    ]
    return markdown(heads, rows)


def pointing_game_table(result: Result) -> str:
    """Return a table of the maps that point to the object, by model."""
    rows = []
    for sample in result.samples:
        side = pointing_game.SIZES_PX[sample.contestant]

        def values(name: str, figures: dict[str, float] = sample.figures) -> Sequence[float]:
            return values_of(figures, name)

        measured = (pointing_game.ACCURACY, pointing_game.HIRES_CAM, pointing_game.GRAD_CAM)
        by_chance = (pointing_game.CENTER, pointing_game.AREA)
        rows.append(
            [
                f"`{sample.contestant}`, {side}×{side} px",
                *(_range(values(name)) for name in measured),
                *(_percent(mean_of(values(name))) for name in by_chance),
                _range(values(pointing_game.INSIDE)),
            ]
        )
    heads = [
        "model, input",
        "accuracy of the model",
        "HiResCAM",
        "Grad-CAM",
        "centre of the image",
        "random place",
        "share of the HiResCAM map in the square",
    ]
    return markdown(heads, rows)


def _describe_case(sample: Sample) -> str:
    photos, share = split_case(sample.case)
    return f"{sample.images:,} {_PHOTOS[photos]}, {share}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.0f} %"


def _count(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f}"


def imbalance_table(result: Result) -> str:
    """Return a table of the balanced accuracy with each option: mean and range of all seeds."""
    rows = [
        [
            sample.contestant.replace("--", "`--", 1) + "`" * sample.contestant.startswith("--"),
            _range(values_of(sample.figures, imbalance.ACCURACY)),
            _range(values_of(sample.figures, imbalance.RAREST)),
        ]
        for sample in result.samples
    ]
    return markdown(["options", imbalance.ACCURACY, imbalance.RAREST], rows)


def rejection_table(result: Result) -> str:
    """Return a table of the images that each score rejects: mean and range of all seeds."""
    rows = []
    for sample in result.samples:
        for score in rejection.SCORES:

            def values(name: str, score: str = score, sample: Sample = sample) -> Sequence[float]:
                return values_of(sample.figures, rejection.figure(score, name))

            low, high = min(values(rejection.AUROC)), max(values(rejection.AUROC))
            auroc = f"{mean_of(values(rejection.AUROC)):.3f} ({low:.3f}–{high:.3f})"
            shares = (rejection.FALSE_POSITIVES, rejection.KNOWN, rejection.REJECTED)
            rows.append([sample.case, score, auroc, *(_range(values(name)) for name in shares)])
    heads = ["others", "score", "AUROC", rejection.FALSE_POSITIVES]
    return markdown([*heads, rejection.KNOWN, rejection.REJECTED], rows)


def _range(values: Sequence[float]) -> str:
    """Return the mean and the range, such as `90.2 % (89.1–91.0)`."""
    low, high = 100 * min(values), 100 * max(values)
    return f"{100 * mean_of(values):.1f} % ({low:.1f}–{high:.1f})"
