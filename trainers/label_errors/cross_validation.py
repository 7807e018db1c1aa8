"""Out-of-sample probabilities of classes, from features."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from records.errors import UsageError
from records.runtime.extras import require_extra
from records.text.formatting import pluralize
from trainers.folds.assignment import assign_folds

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

_MOST_ITERATIONS = 200
_STRENGTH = 10.0
"""The inverse of the L2 penalty of a head: for features of unit length, a penalty so strong that a
head does not learn wrong labels by heart."""
ROUNDS = 2
"""The number of rounds. A third round finds no more wrong labels."""


def cross_validate(
    features: NDArray[np.float32],
    labels: NDArray[np.int64],
    units: NDArray[np.uint64],
    *,
    folds: int,
    seed: int,
    on_fold: Callable[[int], object],
) -> NDArray[np.float64]:
    """Return the probability of each class for each image, by a head that has not seen the image.

    The images are divided into folds, see `assign_folds`. For each fold, a linear head
    (multinomial logistic regression on features of unit length) is fitted to the other folds. In
    the second round, each image counts as much as the probability of its label in the first round.
    So heads learn less from wrong labels.

    Args:
        features: the features, (images, features).
        labels: the labels, (images,); every label from 0 to the highest one occurs.
        units: a number for each image, (images,); equal for images that belong together.
        folds: the number of folds, at least 2.
        seed: the seed of the division into folds.
        on_fold: called with the number of images of each fold when it is finished, in each round.

    Returns:
        Probabilities, (images, classes); each row sums to 1.

    Raises:
        UsageError: scikit-learn is not installed, or there are too few classes, images or units.
    """
    counts = np.bincount(labels)
    _check_size(counts, units, folds)
    chosen = assign_folds(units, labels, folds, seed=seed)
    weights = np.ones(len(labels))
    for _ in range(ROUNDS):
        probabilities = np.zeros((len(labels), len(counts)))
        with warnings.catch_warnings():
            # A class with fewer images than folds, and a head that is not fitted to the last digit.
            warnings.simplefilter("ignore")
            for fold in range(folds):
                known, held_out = np.flatnonzero(chosen != fold), np.flatnonzero(chosen == fold)
                head = _fit(features[known], labels[known], weights[known])
                judged = head.predict_proba(features[held_out])
                probabilities[np.ix_(held_out, head.classes_)] = judged
                on_fold(len(held_out))
        weights = probabilities[np.arange(len(labels)), labels]
        weights /= weights.mean()  # the same strength of the penalty in each round
    return probabilities


def _fit(
    features: NDArray[np.float32], labels: NDArray[np.int64], weights: NDArray[np.float64]
) -> Any:
    """Return a head that is fitted to images, each with its weight."""
    linear = require_extra("sklearn.linear_model", "label-errors")
    pipeline = require_extra("sklearn.pipeline", "label-errors")
    preprocessing = require_extra("sklearn.preprocessing", "label-errors")
    head = pipeline.make_pipeline(
        preprocessing.Normalizer(),
        linear.LogisticRegression(C=_STRENGTH, max_iter=_MOST_ITERATIONS),
    )
    return head.fit(features, labels, logisticregression__sample_weight=weights)


def _check_size(counts: NDArray[np.int64], units: NDArray[np.uint64], folds: int) -> None:
    found, large = len(np.unique(units)), int((counts >= folds).sum())
    if large < 2 or found < 2 * folds:
        each, least = pluralize(folds, "image"), pluralize(2 * folds, "group")
        raise UsageError(
            "too few images for a cross-validation",
            expected=f"{least}, and two classes with at least {each}",
            got=f"{large} of these, {pluralize(found, 'group')}",
            hint="use fewer --folds" if folds > 2 else None,
        )
