"""Confidence intervals of accuracies."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainers.tasks.intervals import format_accuracy, wilson_interval

COUNTS = st.integers(1, 10**7).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(COUNTS)
def test_wilson_interval_bounds_are_the_fractions_just_compatible_with_the_sample(
    counts: tuple[int, int],
) -> None:
    part, whole = counts
    fraction = part / whole
    low, high = wilson_interval(part, whole)
    assert 0 <= low <= fraction <= high <= 1
    # By definition, the sample is 1.96 standard deviations from what each bound predicts.
    for bound in {low, high} - {0.0, 1.0}:
        deviation = math.sqrt(bound * (1 - bound) / whole)
        assert abs(fraction - bound) == pytest.approx(1.96 * deviation, rel=1e-3, abs=1e-9)


def test_wilson_interval_of_known_sample() -> None:
    # Newcombe, "Two-sided confidence intervals for the single proportion", 1998, table I.
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson_interval(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert wilson_interval(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson_interval(1, 29) == pytest.approx((0.0061, 0.1718), abs=5e-5)


def test_format_accuracy_has_one_decimal() -> None:
    assert format_accuracy(81 / 263, 263) == "30.8% (95% CI 25.5–36.6%)"
