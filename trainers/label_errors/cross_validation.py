"""Out-of-sample probabilities of classes, from features."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from records.errors import UsageError
from records.runtime.extras import require_extra
from records.text.formatting import pluralize

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

_MOST_ITERATIONS = 200
_STRENGTH = 10.0
"""The inverse of the L2 penalty of a head: for features of unit length, a penalty so strong that a
head does not learn wrong labels by heart."""


def cross_validate(
    features: NDArray[np.float32],
    labels: NDArray[np.int64],
    groups: NDArray[np.int64],
    *,
    folds: int,
    seed: int,
    on_fold: Callable[[int], object],
) -> NDArray[np.float64]:
    """Return the probability of each class for each image, by a head that has not seen the image.

    The images are divided into folds: each fold has about the same fraction of each class, and no
    group is divided. For each fold, a linear head (multinomial logistic regression on features of
    unit length) is fitted to the other folds.

    Args:
        features: the features, (images, features).
        labels: the labels, (images,); every label from 0 to the highest one occurs.
        groups: the number of the group of each image, (images,).
        folds: the number of folds, at least 2.
        seed: the seed of the division into folds.
        on_fold: called with the number of images of each fold when it is finished.

    Returns:
        Probabilities, (images, classes); each row sums to 1.

    Raises:
        UsageError: scikit-learn is not installed, or there are too few classes, images or groups.
    """
    selection = require_extra("sklearn.model_selection", "label-errors")
    linear = require_extra("sklearn.linear_model", "label-errors")
    preprocessing = require_extra("sklearn.preprocessing", "label-errors")
    pipeline = require_extra("sklearn.pipeline", "label-errors")

    counts = np.bincount(labels)
    _check_size(counts, groups, folds)
    probabilities = np.zeros((len(labels), len(counts)))
    splitter = selection.StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # A class with fewer images than folds, and a head that is not fitted to the last digit.
        warnings.simplefilter("ignore")
        for known, held_out in splitter.split(features, labels, groups):
            head = pipeline.make_pipeline(
                preprocessing.Normalizer(),
                linear.LogisticRegression(C=_STRENGTH, max_iter=_MOST_ITERATIONS),
            )
            head.fit(features[known], labels[known])
            probabilities[np.ix_(held_out, head.classes_)] = head.predict_proba(features[held_out])
            on_fold(len(held_out))
    return probabilities


def _check_size(counts: NDArray[np.int64], groups: NDArray[np.int64], folds: int) -> None:
    found, large = len(np.unique(groups)), int((counts >= folds).sum())
    if large < 2 or found < 2 * folds:
        each, least = pluralize(folds, "image"), pluralize(2 * folds, "group")
        raise UsageError(
            "too few images for a cross-validation",
            expected=f"{least}, and two classes with at least {each}",
            got=f"{large} of these, {pluralize(found, 'group')}",
            hint="use fewer --folds" if folds > 2 else None,
        )
