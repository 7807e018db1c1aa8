"""Wrong labels that `label-errors` finds among photos, compared with cleanlab by hand.

A share of the labels is replaced by another class at random, with several seeds. Both methods get
the same features, and each lists the photos whose label is probably wrong.

These variants of `label-errors` were tried with the features of the flowers, and with other seeds.
The table shows the recall among as many candidates as flipped labels; each group has its own seeds.

| variant | recall |
| --- | ---: |
| one round | 74.0 % |
| two rounds, the second without the candidates of the first | 78.7 % |
| two rounds, each photo weighted by the probability of its label (implemented) | 79.3 % |
| the same, with half the penalty of the heads | 79.7 % |
| the same, with the square of the probability, and half the penalty | 78.3 % |
| three rounds, weighted | 78.7 % |
| two rounds, weighted, with 30 % of the 15 nearest neighbours | 78.7 % |
| | |
| one round | 72.9 % |
| one round, ranked by the ratio to the highest probability | 73.8 % |
| one round, mean of three divisions into folds | 74.7 % |
| two rounds, mean of three divisions into folds | 75.1 % |
| two rounds, the second without the candidates of the first | 75.1 % |
| 15 nearest neighbours instead of a linear head | 70.2 % |
| | |
| cats and dogs at 96×96 pixels, one round | 74.9 % |
| cats and dogs at 96×96 pixels, two rounds, weighted | 77.1 % |
"""

from __future__ import annotations

import sys
from importlib.metadata import version
from typing import TYPE_CHECKING

from benchmarks.harness.environments import program
from benchmarks.harness.rounds import Case, Contestant
from benchmarks.harness.settings import Entry
from benchmarks.inputs.real_photos import (
    SHARES,
    flipped_cases,
    split_case,
    weights_file,
    with_cache,
)
from benchmarks.suites.conversion import OURS

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from benchmarks.harness.settings import Setting

LABEL_ERRORS = "label-errors"
CLEANLAB = "cleanlab, logistic regression"
FLIPPED = "flipped labels"
CANDIDATES = "candidates"
AT_FLIPPED = "recall among as many candidates as flipped labels"
RECALL = "recall among all candidates"
ALSO_WRONG = "other wrong labels among as many candidates as flipped labels"
FIRST = (10, 25, 50)


def precision_at(count: int) -> str:
    """Return the name of a figure: the share of flipped labels among the first candidates."""
    return f"precision at {count}"


def enter(setting: Setting) -> Entry:
    """Return both methods, on photos of flowers, and of cats and dogs."""
    packages = ("cleanlab", "scikit-learn")
    by_hand = ", ".join(f"{package} {version(package)}" for package in packages)
    contestants = [
        _contestant(setting, LABEL_ERRORS, "shardmill_label_errors", OURS),
        _contestant(setting, CLEANLAB, "cleanlab_label_errors", by_hand),
    ]
    return Entry(contestants, flipped_cases(setting), trial_images=0, rounds=1)


def _contestant(setting: Setting, name: str, script: str, made_by: str) -> Contestant:
    def command(case: Case, out: Path) -> list[str]:
        _, share = split_case(case.name)
        paths = str(case.source), str(weights_file(setting)), str(out)
        numbers = str(SHARES[share]), str(setting.scale.rounds)
        return with_cache(setting, [sys.executable, program(script), *paths, *numbers])

    return Contestant(name, command, made_by)


def score(
    ranked: Sequence[str], flipped: Collection[str], also_wrong: Collection[str] | None = None
) -> dict[str, float]:
    """Return the figures of a search.

    A precision at more candidates than flipped labels could not reach 1, and is left out.

    Args:
        ranked: the keys of the candidates, the surest first.
        flipped: the keys of the photos whose label was replaced.
        also_wrong: the keys of the photos whose label was wrong before; None if that is not known.
    """

    def found(first: int) -> int:
        return sum(key in flipped for key in ranked[:first])

    figures: dict[str, float] = {
        FLIPPED: len(flipped),
        CANDIDATES: len(ranked),
        AT_FLIPPED: found(len(flipped)) / len(flipped),
        RECALL: found(len(ranked)) / len(flipped),
        **{precision_at(first): found(first) / first for first in FIRST if first <= len(flipped)},
    }
    if also_wrong is not None:
        as_many = {*ranked[: len(flipped)]}
        figures[ALSO_WRONG] = len(as_many & {*also_wrong} - {*flipped})
    return figures
