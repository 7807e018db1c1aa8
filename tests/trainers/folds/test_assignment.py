"""Folds are even in each class, and stay when images are added."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainers.folds.assignment import assign_folds

FOLDS = st.integers(2, 12)
UNITS = st.lists(st.integers(0, 40), min_size=1, max_size=120)


def spread(counts: np.ndarray) -> int:
    return int(counts.max() - counts.min())


def count(chosen: np.ndarray, folds: int) -> np.ndarray:
    return np.bincount(chosen, minlength=folds)


@settings(max_examples=50)
@given(st.lists(st.integers(0, 6), min_size=1, max_size=200), FOLDS, st.integers(0, 2**32 - 1))
def test_folds_of_single_images_are_even_in_each_class_and_in_size(
    classes: list[int], folds: int, seed: int
) -> None:
    labels = np.array(classes)
    units = np.random.default_rng(seed).integers(0, 2**63, len(labels)).astype(np.uint64)
    chosen = assign_folds(units, labels, folds)
    assert spread(count(chosen, folds)) <= 1
    for label in np.unique(labels):
        assert spread(count(chosen[labels == label], folds)) <= 1


@settings(max_examples=50)
@given(UNITS, FOLDS, st.integers(0, 3))
def test_folds_never_divide_a_unit_and_depend_on_no_order(
    numbers: list[int], folds: int, seed: int
) -> None:
    units = np.array(numbers, np.uint64)
    labels = (units * units % 5).astype(np.int64) + np.arange(len(units)) % 2
    chosen = assign_folds(units, labels, folds, seed=seed)
    assert ((chosen >= 0) & (chosen < folds)).all()
    for unit in np.unique(units):
        assert len(np.unique(chosen[units == unit])) == 1
    if len(np.unique(units)) >= folds:
        assert count(chosen, folds).all()
    order = np.random.default_rng(seed).permutation(len(units))
    np.testing.assert_array_equal(
        assign_folds(units[order], labels[order], folds, seed=seed), chosen[order]
    )


@pytest.mark.parametrize("folds", [2, 5, 10])
def test_folds_of_grown_dataset_keep_most_images(folds: int) -> None:
    random = np.random.default_rng(folds)
    units = random.integers(0, 2**63, 4400).astype(np.uint64)
    labels = random.integers(0, 8, 4400)
    before = assign_folds(units[:4000], labels[:4000], folds)
    after = assign_folds(units, labels, folds)[:4000]
    # A deal of all images in the order of their hashes would move nearly all of them.
    assert (before == after).mean() > 0.9


def test_folds_of_groups_of_equal_size_are_even_in_each_class() -> None:
    units = np.repeat(np.arange(100, dtype=np.uint64), 7)
    labels = np.repeat(np.arange(100) % 4, 7)
    chosen = assign_folds(units, labels, 5)
    for label in range(4):
        assert count(chosen[labels == label], 5).tolist() == [35] * 5


def test_folds_of_one_large_and_many_small_groups_are_even() -> None:
    sizes = [100, *[5] * 80]
    units = np.repeat(np.arange(81, dtype=np.uint64), sizes)
    chosen = assign_folds(units, np.zeros(500, np.int64), 5)
    assert count(chosen, 5).tolist() == [100] * 5


def test_folds_of_several_labels_are_even_in_the_rarest_and_near_in_the_others() -> None:
    random = np.random.default_rng(1)
    has = random.random((900, 4)) < (0.5, 0.3, 0.1, 0.02)
    images, labels = has.nonzero()
    units = random.integers(0, 2**63, 900).astype(np.uint64)
    chosen = assign_folds(units, labels, 5, images=images)
    counts = [count(chosen[has[:, label]], 5) for label in range(4)]
    assert spread(counts[3]) <= 1
    assert all(spread(each) <= 0.25 * each.mean() for each in counts[:3])
    assert spread(count(chosen[~has.any(axis=1)], 5)) <= 1


def test_folds_without_any_label_are_even() -> None:
    none = np.array([], np.int64)
    units = np.arange(23, dtype=np.uint64)
    assert spread(count(assign_folds(units, none, 4, images=none), 4)) <= 1


def test_folds_of_another_seed_differ() -> None:
    units, labels = np.arange(200, dtype=np.uint64), np.zeros(200, np.int64)
    first, second = (assign_folds(units, labels, 5, seed=seed) for seed in (0, 1))
    assert 0.5 < (first != second).mean() < 0.95
