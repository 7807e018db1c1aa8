"""Rejection of images of no class, by several scores of a classifier.

A head is trained on the features of MobileNetV2, with photos of flowers. The images of no class are
photos of cats and dogs, or the flowers of a class that is left out. Each score is higher for images
of the classes. The score of `predict --reject-below auto` is the cosine to the mean of the
predicted class.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.harness.environments import program
from benchmarks.harness.rounds import Case, Contestant
from benchmarks.harness.settings import Entry
from benchmarks.inputs.real_photos import BACKBONE, FLOWERS, real_case, weights_file, with_cache
from benchmarks.suites.conversion import OURS

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from benchmarks.harness.settings import Setting

FOREIGN = "cats and dogs"
LEFT_OUT = "the flowers of a class that is left out"
TEST_SHARE = 0.2
EPOCHS = 10
KEPT = 0.95

PROBABILITY = "highest probability"
LOGIT = "highest logit"
ENERGY = "energy (log-sum-exp of the logits)"
MAHALANOBIS = "Mahalanobis distance to the nearest class mean"
NEIGHBOURS = "cosine to the 10th nearest training image"
NEAREST_MEAN = "cosine to the nearest class mean"
CLASS_MEANS = "cosine to the mean of the predicted class"
SCORES = (PROBABILITY, LOGIT, ENERGY, MAHALANOBIS, NEIGHBOURS, NEAREST_MEAN, CLASS_MEANS)

AUROC = "AUROC"
FALSE_POSITIVES = "others kept if 95 % of the known test images are"
KNOWN = "known test images kept"
REJECTED = "others rejected"


def enter(setting: Setting) -> Entry:
    """Return MobileNetV2 with both kinds of images of no class."""

    def command(case: Case, out: Path) -> list[str]:
        paths = str(setting.data), str(weights_file(setting)), str(out)
        run = [sys.executable, program("shardmill_rejection"), *paths, case.name]
        return with_cache(setting, [*run, str(setting.scale.rounds)])

    flowers = real_case(setting, FLOWERS)
    cases = [replace(flowers, name=name) for name in (FOREIGN, LEFT_OUT)]
    return Entry([Contestant(BACKBONE, command, OURS)], cases, trial_images=0, rounds=1)


def judge(
    known: NDArray[np.floating], others: NDArray[np.floating], validation: NDArray[np.floating]
) -> dict[str, float]:
    """Return the figures of a score.

    Args:
        known: the scores of test images of the classes, (images,).
        others: the scores of images of no class, (images,).
        validation: the scores of validation images, which give the threshold, (images,).
    """
    threshold = np.quantile(validation, 1 - KEPT)
    return {
        AUROC: area_under_curve(known, others),
        FALSE_POSITIVES: float(np.mean(others >= np.quantile(known, 1 - KEPT))),
        KNOWN: float(np.mean(known >= threshold)),
        REJECTED: float(np.mean(others < threshold)),
    }


def area_under_curve(known: NDArray[np.floating], others: NDArray[np.floating]) -> float:
    """Return the share of pairs in which the known image has the higher score; ties count half."""
    ordered = np.sort(others)
    lower = np.searchsorted(ordered, known, "left") + np.searchsorted(ordered, known, "right")
    return float(lower.mean() / (2 * len(others)))


def figure(score: str, name: str) -> str:
    """Return the name of a figure of a score."""
    return f"{score}: {name}"
