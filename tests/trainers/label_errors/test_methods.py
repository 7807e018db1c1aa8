"""Cross-validation, outliers and wrong labels of features that are known."""

from __future__ import annotations

import numpy as np
import pytest

from records.errors import UsageError
from trainers.label_errors.cross_validation import ROUNDS, cross_validate
from trainers.label_errors.judge import count_overlaps, rank_wrong_labels
from trainers.label_errors.outliers import find_outliers

CLASSES, FEATURES = 3, 8


def draw(images: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features around one point for each class, and labels."""
    random = np.random.default_rng(seed)
    labels = np.arange(images) % CLASSES
    centers = 6 * np.eye(CLASSES, FEATURES)
    return (centers[labels] + random.normal(size=(images, FEATURES))).astype(np.float32), labels


def judge(features: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> np.ndarray:
    units = groups.astype(np.uint64)
    return cross_validate(features, labels, units, folds=5, seed=0, on_fold=lambda _: None)


def test_cross_validate_flipped_labels_are_ranked_first() -> None:
    features, labels = draw(600)
    flipped = np.random.default_rng(1).choice(600, 30, replace=False)
    given = labels.copy()
    given[flipped] = (labels[flipped] + 1) % CLASSES
    counted: list[int] = []
    probabilities = cross_validate(
        features,
        given,
        np.arange(600, dtype=np.uint64),
        folds=4,
        seed=3,
        on_fold=counted.append,
    )
    assert sum(counted) == ROUNDS * 600
    assert len(counted) == ROUNDS * 4
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    ranked = rank_wrong_labels(given, probabilities)
    assert len({*ranked[:30].tolist()} & {*flipped.tolist()}) >= 28
    scores = probabilities[ranked, given[ranked]]
    assert (np.diff(scores) >= 0).all()
    assert (probabilities[ranked].argmax(axis=1) != given[ranked]).all()


def test_cross_validate_group_is_never_judged_by_its_own_images() -> None:
    # Each pair is one image twice, with a wrong label: only a head that has seen it would agree.
    features, labels = draw(300)
    random = np.random.default_rng(5)
    pairs = random.normal(size=(30, FEATURES)).astype(np.float32)
    pairs[:, :CLASSES] = 0
    pairs[:, CLASSES:] *= 30
    doubled = np.repeat(pairs, 2, axis=0)
    wrong = np.repeat(random.integers(0, CLASSES, 30), 2)
    groups = np.concatenate([np.arange(300), 300 + np.arange(60) // 2])
    all_features = np.concatenate([features, doubled])
    all_labels = np.concatenate([labels, wrong])
    apart = judge(all_features, all_labels, groups)
    seen = judge(all_features, all_labels, np.arange(360))

    def agreement(probabilities: np.ndarray) -> float:
        return float(np.mean(probabilities[300:].argmax(axis=1) == wrong))

    assert agreement(apart) < agreement(seen)


def test_cross_validate_same_seed_gives_same_probabilities() -> None:
    features, labels = draw(120)
    first, second = (judge(features, labels, np.arange(120)) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    ("labels", "groups"),
    [([0] * 50, range(50)), ([0] * 50 + [1] * 4, range(54)), ([0, 1] * 30, [0] * 60)],
    ids=["one class", "rare class", "one group"],
)
def test_cross_validate_too_few_images_is_a_usage_error(
    labels: list[int], groups: range | list[int]
) -> None:
    features = np.zeros((len(labels), 2), np.float32)
    with pytest.raises(UsageError, match="too few images"):
        judge(features, np.array(labels), np.array(groups))


def test_find_outliers_are_far_from_every_class() -> None:
    features, labels = draw(900)
    features[[7, 80]] = 25 * np.eye(2, FEATURES, k=CLASSES)
    features[90] = 0
    found = find_outliers(features, labels)
    assert {*found.rows[:3].tolist()} == {7, 80, 90}
    assert len(found.rows) < 45
    assert (np.diff(found.distances) <= 0).all()
    assert (found.distances > found.limit).all()


def test_count_overlaps_names_the_confused_pair_first() -> None:
    features, labels = draw(600)
    features[labels == 2] -= 6 * np.eye(CLASSES, FEATURES)[2] - 6 * np.eye(CLASSES, FEATURES)[1]
    probabilities = judge(features, labels, np.arange(600))
    (first, second, images), *rest = count_overlaps(labels, probabilities)
    assert (first, second) == (1, 2)
    assert images > 50
    assert all(each[2] < images for each in rest)
