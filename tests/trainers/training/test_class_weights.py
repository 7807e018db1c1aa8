"""Weights that make up for classes with few images."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainers.tasks import balance_classes


def test_balance_classes_equals_scikit_learn_balanced_weights() -> None:
    weights = pytest.importorskip("sklearn.utils.class_weight")
    counts = [3, 50, 7, 1]
    labels = np.repeat(range(4), counts)
    expected = weights.compute_class_weight("balanced", classes=np.arange(4), y=labels)
    np.testing.assert_allclose(list(balance_classes(counts).values()), expected)


@given(st.lists(st.integers(0, 10**9), min_size=1).filter(any))
def test_balance_classes_any_counts_give_equal_shares_and_same_total(counts: list[int]) -> None:
    weights = balance_classes(counts)
    assert list(weights) == list(range(len(counts)))
    shares = [weights[label] * count for label, count in enumerate(counts)]
    assert sum(shares) == pytest.approx(sum(counts))
    there = [share for share, count in zip(shares, counts, strict=True) if count]
    assert there == pytest.approx([there[0]] * len(there))
    assert {weights[label] for label, count in enumerate(counts) if not count} <= {0.0}
