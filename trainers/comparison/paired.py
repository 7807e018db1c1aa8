"""Comparison of two classifiers on the same images."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping

import msgspec

from records.text.formatting import pluralize
from trainers.tasks.intervals import Interval, paired_difference_interval

SIGNIFICANCE = 0.05
"""A difference with a lower p-value is called significant."""
_LOWEST_SHOWN_P = 0.001


class PairedComparison(msgspec.Struct, frozen=True, kw_only=True):
    """How often each of two runs is right on the images that both have predicted.

    Attributes:
        images: the number of these images.
        both_right: the number of images on which both runs are right.
        only_first: the number of images on which only the first run is right.
        only_second: the number of images on which only the second run is right.
        both_wrong: the number of images on which both runs are wrong.
        difference: the accuracy of the second run minus that of the first run, -1 to 1.
        difference_interval: the bounds of the 95 % confidence interval of the difference.
        p_value: the p-value of the exact McNemar test that both runs are equally accurate.
    """

    images: int
    both_right: int
    only_first: int
    only_second: int
    both_wrong: int
    difference: float
    difference_interval: Interval
    p_value: float

    @property
    def is_significant(self) -> bool:
        """Return whether the runs are not equally accurate, with a p-value below 0.05."""
        return self.p_value < SIGNIFICANCE

    def describe(self, first: str, second: str) -> str:
        """Return the verdict as a sentence without a full stop.

        Args:
            first: the name of the first run, such as `Run 1`.
            second: the name of the second run.
        """
        low, high = (f"{100 * bound:.1f}" for bound in self.difference_interval)
        points = f"{100 * self.difference:.1f}"
        verdict = "significant" if self.is_significant else "not significant"
        return (
            f"{second} is better than {first} on {self.only_second:,} of"
            f" {pluralize(self.images, 'image')}, and worse on {self.only_first:,}: the difference"
            f" of {points} percentage points (95% CI {low} to {high}) is {verdict},"
            f" {_describe_p(self.p_value)}"
        )


def _describe_p(value: float) -> str:
    return f"p < {_LOWEST_SHOWN_P}" if value < _LOWEST_SHOWN_P else f"p = {value:.2g}"


def compare_paired(
    first: Mapping[str, bool], second: Mapping[str, bool]
) -> PairedComparison | None:
    """Compare two runs on their common images; None without a common image.

    Args:
        first: whether the prediction of the first run is right, by the key of the image.
        second: the same for the second run.
    """
    counts = Counter((is_right, second[key]) for key, is_right in first.items() if key in second)
    if not counts:
        return None
    both_right, only_first = counts[True, True], counts[True, False]
    only_second, both_wrong = counts[False, True], counts[False, False]
    images = counts.total()
    return PairedComparison(
        images=images,
        both_right=both_right,
        only_first=only_first,
        only_second=only_second,
        both_wrong=both_wrong,
        difference=(only_second - only_first) / images,
        difference_interval=paired_difference_interval(
            both_right, only_second, only_first, both_wrong
        ),
        p_value=mcnemar_p_value(only_first, only_second),
    )


def mcnemar_p_value(one: int, other: int) -> float:
    """Return the two-sided p-value of the exact McNemar test.

    If both runs are equally accurate, each image on which exactly one of them is right is as likely
    to be one of the first run as of the second, so their numbers follow a binomial distribution
    (McNemar, "Note on the sampling error of the difference between correlated proportions or
    percentages", 1947).

    Args:
        one: the number of images on which only one of the runs is right.
        other: the number of images on which only the other run is right.
    """
    total, fewer = one + other, min(one, other)
    # The logarithm of the largest term of the tail; factorials of large numbers would overflow.
    term = math.exp(
        math.lgamma(total + 1)
        - math.lgamma(fewer + 1)
        - math.lgamma(total - fewer + 1)
        - total * math.log(2)
    )
    tail = term
    for place in range(fewer, 0, -1):
        term *= place / (total - place + 1)
        if tail + term == tail:
            break
        tail += term
    return min(1.0, 2 * tail)
