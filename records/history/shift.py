"""Distances between two distributions: Kolmogorov-Smirnov, population stability index."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LEAST_SHARE = 1e-4
"""The share of a category without records, because the index is infinite for a share of 0."""


def ks_distance(a: NDArray[Any], b: NDArray[Any]) -> float | None:
    """Return the Kolmogorov-Smirnov distance of two samples of numbers, from 0 to 1.

    It is the largest difference of the fractions of both samples that are at most x, over all x.

    Args:
        a: the numbers of one sample, (N,), in any order.
        b: the numbers of the other sample, (M,).

    Returns:
        The distance; None if a sample is empty.
    """
    if not len(a) or not len(b):
        return None
    one, other = np.sort(a), np.sort(b)
    values = np.union1d(one, other)
    fractions = [np.searchsorted(each, values, "right") / len(each) for each in (one, other)]
    return float(np.max(np.abs(fractions[0] - fractions[1])))


def stability_index(a: Mapping[str, int], b: Mapping[str, int]) -> float | None:
    """Return the population stability index of two distributions over categories, from 0.

    It is the sum of (q - p) ln(q / p) over all categories with the shares p and q.

    Args:
        a: the number of records of each category in one distribution.
        b: the number of records of each category in the other distribution.

    Returns:
        The index; None if a distribution has no records.
    """
    totals = sum(a.values()), sum(b.values())
    if not all(totals):
        return None
    total = 0.0
    for name in {**a, **b}:
        p, q = (
            max(counts.get(name, 0) / records, _LEAST_SHARE)
            for counts, records in zip((a, b), totals, strict=True)
        )
        total += (q - p) * math.log(q / p)
    return total
