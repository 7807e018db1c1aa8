"""Wrong labels and confused classes, from out-of-sample probabilities.

The method is confident learning (C. Northcutt, L. Jiang, I. Chuang, "Confident Learning: Estimating
Uncertainty in Dataset Labels", 2021), by the package cleanlab.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from records.runtime.extras import require_extra

if TYPE_CHECKING:
    from numpy.typing import NDArray


def rank_wrong_labels(
    labels: NDArray[np.int64], probabilities: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Return the numbers of the images whose label is probably wrong, the surest first.

    Args:
        labels: the labels, (images,); every label from 0 to the highest one occurs.
        probabilities: out-of-sample probabilities, (images, classes).
    """
    cleanlab = require_extra("cleanlab.filter", "label-errors")
    found = cleanlab.find_label_issues(
        labels, probabilities, return_indices_ranked_by="self_confidence", n_jobs=1
    )
    ranked: NDArray[np.int64] = np.asarray(found, np.int64)
    return ranked


def count_overlaps(
    labels: NDArray[np.int64], probabilities: NDArray[np.float64]
) -> list[tuple[int, int, int]]:
    """Return pairs of labels with the estimated number of confused images, the most images first.

    Args:
        labels: as in `rank_wrong_labels`.
        probabilities: as in `rank_wrong_labels`.
    """
    counting = require_extra("cleanlab.count", "label-errors")
    joint = counting.estimate_joint(labels, probabilities)
    confused = np.rint((joint + joint.T) * len(labels)).astype(int)
    pairs = [
        (first, second, int(confused[first, second]))
        for first, second in zip(*np.triu(confused, 1).nonzero(), strict=True)
    ]
    return sorted(((int(a), int(b), n) for a, b, n in pairs), key=lambda pair: (-pair[2], pair))
