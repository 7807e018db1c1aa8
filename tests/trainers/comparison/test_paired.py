"""Two runs are compared on the same images with the exact McNemar test."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest

from trainers.comparison.paired import compare_paired, mcnemar_p_value
from trainers.tasks.intervals import paired_difference_interval


@pytest.mark.parametrize("total", [0, 1, 2, 7, 25, 60])
def test_mcnemar_p_value_is_the_exact_share_of_outcomes_at_least_as_uneven(total: int) -> None:
    for one in range(total + 1):
        uneven = abs(2 * one - total)
        outcomes = [comb(total, each) for each in range(total + 1)]
        as_uneven = sum(n for each, n in enumerate(outcomes) if abs(2 * each - total) >= uneven)
        assert mcnemar_p_value(one, total - one) == pytest.approx(as_uneven / 2**total)
        assert mcnemar_p_value(one, total - one) == mcnemar_p_value(total - one, one)


def test_mcnemar_p_value_of_a_million_images_is_finite() -> None:
    assert mcnemar_p_value(500_000, 500_000) == 1
    assert mcnemar_p_value(499_000, 501_000) == pytest.approx(0.0456, abs=2e-4)
    assert mcnemar_p_value(0, 1_000_000) == 0


def test_paired_interval_is_the_published_one() -> None:
    # Newcombe, 1998, table III, method 10.
    low, high = paired_difference_interval(36, 12, 2, 0)
    assert (round(low, 4), round(high, 4)) == (0.0569, 0.3404)


def test_paired_interval_contains_the_true_difference_in_95_percent_of_samples() -> None:
    random = np.random.default_rng(0)
    for shares in ((0.8, 0.1, 0.05, 0.05), (0.9, 0.04, 0.04, 0.02), (0.3, 0.3, 0.1, 0.3)):
        samples = random.multinomial(120, shares, 1000).tolist()
        bounds = [paired_difference_interval(*sample) for sample in samples]
        covered = sum(low <= shares[1] - shares[2] <= high for low, high in bounds)
        assert 930 <= covered <= 985
        assert all(-1 <= low <= high <= 1 for low, high in bounds)


def right_on(numbers: range, images: int) -> dict[str, bool]:
    return {str(number): number in numbers for number in range(images)}


def test_comparison_counts_common_images_and_has_a_verdict() -> None:
    # Run 1 alone is right on 9 images, and run 2 alone on 16.
    found = compare_paired(right_on(range(236), 270), right_on(range(9, 252), 259))
    assert found is not None
    counts = (found.both_right, found.only_first, found.only_second, found.both_wrong)
    assert (found.images, counts) == (259, (227, 9, 16, 7))
    assert found.describe("Run 1", "Run 2") == (
        "Run 2 is better than Run 1 on 16 of 259 images, and worse on 9: the difference of 2.7"
        " percentage points (95% CI -1.2 to 6.8) is not significant, p = 0.23"
    )
    worse = compare_paired(right_on(range(80), 80), right_on(range(60), 80))
    assert worse is not None
    assert worse.is_significant
    assert "of -25.0 percentage points" in worse.describe("Run 1", "Run 2")
    assert "is significant, p < 0.001" in worse.describe("Run 1", "Run 2")
    assert compare_paired({"a": True}, {"b": True}) is None
