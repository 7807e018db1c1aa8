"""Rules by which the measurements of an image are issues.

A rule has a fixed limit. If the median image of a dataset exceeds the limit, the limit does not fit
the dataset: the drawings of MNIST have a black background, for example. The outer fence of the
dataset then takes its place: three interquartile ranges beyond the quartile (J. W. Tukey,
"Exploratory Data Analysis", 1977).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FENCE = 3.0

DUPLICATE = "duplicate"
NEAR_DUPLICATE = "near-duplicate"
"""Issues without a rule: see `records.quality.duplicates`."""


class Rule(NamedTuple):
    """A limit of a measurement.

    Attributes:
        issue: the name of the issue.
        column: the name of the measurement.
        side: whether values below or above the limit are an issue.
        limit: the fixed limit.
        meaning: a description of such images, for people.
    """

    issue: str
    column: str
    side: Literal["below", "above"]
    limit: float
    meaning: str


RULES = (
    Rule("dark", "dark", "below", 80, "dark nearly everywhere"),
    Rule("bright", "bright", "above", 180, "bright nearly everywhere"),
    Rule("low-contrast", "contrast", "below", 40, "all pixels have nearly the same brightness"),
    Rule("blurry", "blur", "above", 0.55, "no sharp edges"),
    Rule("enlarged", "detail", "below", 0.38, "no more detail than in an image of half the width"),
    Rule("grey", "chroma", "below", 2, "no colours, in a dataset of colour images"),
    Rule("border", "border", "above", 0.03, "borders of one colour"),
    Rule("odd-size", "size", "above", 2, "a fourth or four times the pixels of the median image"),
    Rule("odd-aspect-ratio", "aspect", "above", 1, "twice or half as elongated as the median"),
)
"""The rules of the pixels, and of the columns of the index."""


class Beyond(NamedTuple):
    """The images beyond the limit of a rule.

    Attributes:
        limit: the limit that was used.
        rows: the numbers of the images, the worst first, int64 (found,).
    """

    limit: float
    rows: NDArray[np.int64]


def apply_rule(rule: Rule, values: NDArray[np.float32]) -> Beyond:
    """Return the images whose value is beyond the limit; NaN is within each limit.

    Args:
        rule: the rule.
        values: a measurement of all images, float32 (images,).
    """
    known = values[~np.isnan(values)]
    if not len(known):
        return Beyond(rule.limit, np.empty(0, np.int64))
    sign = 1.0 if rule.side == "above" else -1.0
    limit = rule.limit
    if sign * np.median(known) > sign * limit:
        near, far = np.percentile(known, (25, 75) if rule.side == "above" else (75, 25))
        limit = float(far + _FENCE * (far - near))
    beyond = sign * values > sign * limit  # false for NaN
    rows = np.flatnonzero(beyond)
    return Beyond(limit, rows[np.argsort(-sign * values[rows], kind="stable")])


def size_measurements(
    widths: NDArray[np.int64], heights: NDArray[np.int64]
) -> dict[str, NDArray[np.float32]]:
    """Return how far the size and the aspect ratio of each image are from the median, as log2.

    The aspect ratio is that of the long side to the short side, so that a dataset may have
    portraits and landscapes.

    Args:
        widths: the widths in pixels, (images,).
        heights: the heights in pixels, (images,).
    """
    wide, high = np.log2(widths.astype(np.float64)), np.log2(heights.astype(np.float64))
    return {"size": _distance(wide + high), "aspect": _distance(np.abs(wide - high))}


def _distance(values: NDArray[np.float64]) -> NDArray[np.float32]:
    middle = np.median(values) if len(values) else 0.0
    return np.abs(values - middle).astype(np.float32)
