"""Confidence intervals of accuracies."""

from __future__ import annotations

import math

_Z = 1.959963984540054
"""The 97.5 % quantile of the standard normal distribution."""

Interval = tuple[float, float]
"""The lower and the upper bound of a fraction."""


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


def format_accuracy(accuracy: float, images: int) -> str:
    """Return an accuracy on a number of images, at least 1, with its confidence interval."""
    low, high = wilson_interval(round(accuracy * images), images)
    return f"{accuracy:.1%} (95% CI {low * 100:.1f}–{high:.1%})"
