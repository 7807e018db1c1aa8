"""Similarity to class means, and its threshold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainers.class_means.means import ClassMeans, normalize, similarities, threshold_of


def test_similarity_is_the_cosine_to_the_mean_of_the_predicted_class() -> None:
    directions = normalize(np.array([[1.0, 0, 0], [1, 1, 0], [0, 0, 0]]))
    features = np.array([[5.0, 0, 0], [0, 2, 0], [0, 0, 7], [-1, 0, 0], [0, 0, 0]])
    labels = np.array([0, 1, 2, 0, 1])
    found = similarities(features, directions[labels])
    assert found == pytest.approx([1, 0.5**0.5, 0, -1, 0], abs=1e-6)
    rejects = ClassMeans(directions, 0.5).rejects(features, labels)
    assert rejects.tolist() == [False, False, True, True, True]


def test_features_that_are_not_finite_are_rejected() -> None:
    means = ClassMeans(normalize(np.eye(2)), -1.0)
    features, labels = np.array([[np.nan, 1], [np.inf, 1], [1, 1]]), np.array([0, 1, 0])
    assert means.rejects(features, labels).tolist() == [True, True, False]


@given(
    seed=st.integers(0, 1000),
    scale=st.sampled_from([1e-30, 1e-3, 1.0, 1e4, 1e30]),
    width=st.sampled_from([1, 2, 30]),
)
def test_lengths_of_features_do_not_matter(seed: int, scale: float, width: int) -> None:
    random = np.random.default_rng(seed)
    directions = normalize(random.normal(size=(5, width)))
    features = random.normal(size=(5, width)).astype(np.float32)
    scaled = (features.astype(np.float64) * scale).astype(np.float32)
    assert np.linalg.norm(directions, axis=1) == pytest.approx(np.ones(5), rel=1e-5)
    np.testing.assert_allclose(
        similarities(scaled, directions), similarities(features, directions), atol=1e-5
    )


@given(images=st.integers(1, 500), seed=st.integers(0, 100))
def test_threshold_is_reached_by_95_percent_and_hardly_more(images: int, seed: int) -> None:
    found = np.random.default_rng(seed).uniform(0.2, 1, images).astype(np.float32)
    reached = int((found >= threshold_of(found)).sum())
    # The threshold is a rounding lower than a similarity, and others can be in between.
    near = int((abs(found - threshold_of(found)) < 3e-5).sum())
    assert 0.95 * images <= reached <= 0.95 * images + 1 + near
