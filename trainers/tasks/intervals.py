"""Confidence intervals of accuracies, and of their differences."""

from __future__ import annotations

import math

_Z = 1.959963984540054
"""The 97.5 % quantile of the standard normal distribution."""

Interval = tuple[float, float]
"""The lower and the upper bound of a fraction, or of a difference of fractions."""


def wilson_interval(part: int, whole: int) -> Interval:
    """Return the 95 % confidence interval of a fraction that was measured on a sample.

    Unlike the normal approximation, the interval is valid for small samples, and for fractions near
    0 and 1 (Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", 1927).

    Args:
        part: the number of successes, such as right predictions, 0 to `whole`.
        whole: the number of trials, such as images, at least 1.
    """
    fraction = part / whole
    spread = _Z * _Z / whole
    center = (fraction + spread / 2) / (1 + spread)
    half = _Z * math.sqrt(fraction * (1 - fraction) / whole + spread / (4 * whole)) / (1 + spread)
    # At 0 and 1 one bound is exact; rounding would move it.
    return (0.0 if not part else center - half), (1.0 if part == whole else center + half)


def paired_difference_interval(both: int, first: int, second: int, neither: int) -> Interval:
    """Return the 95 % confidence interval of the difference of two fractions of the same sample.

    It is valid for small samples, as Wilson's interval, from which it is computed (method 10 of
    Newcombe, "Improved confidence intervals for the difference between binomial proportions based
    on paired data", 1998).

    Args:
        both: the number of trials that are successes of both kinds.
        first: the number of trials that are successes only of the first kind.
        second: the number of trials that are successes only of the second kind.
        neither: the number of other trials; there is at least one trial in all.

    Returns:
        The bounds of the fraction of the first kind minus that of the second kind.
    """
    whole = both + first + second + neither
    successes = both + first, both + second
    fractions = [part / whole for part in successes]
    low, high = zip(*(wilson_interval(part, whole) for part in successes), strict=True)
    below = [fraction - bound for fraction, bound in zip(fractions, low, strict=True)]
    above = [bound - fraction for fraction, bound in zip(fractions, high, strict=True)]
    correlation = _correlation(both, first, second, neither)
    difference = fractions[0] - fractions[1]
    return (
        difference - _distance(below[0], above[1], correlation),
        difference + _distance(above[0], below[1], correlation),
    )


def _correlation(both: int, first: int, second: int, neither: int) -> float:
    """Return the coefficient phi of a table with two rows, with a correction if it is positive."""
    product = (both + first) * (second + neither) * (both + second) * (first + neither)
    if not product:
        return 0.0
    excess: float = both * neither - first * second
    if excess > 0:
        excess = max(0.0, excess - (both + first + second + neither) / 2)
    return excess / math.sqrt(product)


def _distance(one: float, other: float, correlation: float) -> float:
    square = one * one - 2 * correlation * one * other + other * other
    return math.sqrt(max(0.0, square))


def format_accuracy(accuracy: float, images: int) -> str:
    """Return an accuracy on a number of images, at least 1, with its confidence interval."""
    low, high = wilson_interval(round(accuracy * images), images)
    return f"{accuracy:.1%} (95% CI {low * 100:.1f}–{high:.1%})"
