from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipelines.planning.split_hash import Hashes, Thresholds, hash_keys, split_numbers
from pipelines.planning.stratify import find_thresholds_by_label, group_by_label
from records.format.layout import SPLITS


def count_splits(
    labels: NDArray[np.int32], hashes: Hashes, thresholds: dict[int, Thresholds]
) -> Counter[tuple[int, str]]:
    """How many images each label has in each split."""
    found: Counter[tuple[int, str]] = Counter()
    for label, rows in group_by_label(labels):
        numbers = split_numbers(hashes[rows], thresholds[label])
        found.update((label, SPLITS[number]) for number in numbers)
    return found


@given(
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=8),
    data=st.data(),
)
def test_stratified_split_counts_add_up_and_are_proportional(
    sizes: list[int], data: st.DataObject
) -> None:
    whole = sum(sizes)
    test = data.draw(st.integers(0, whole))
    validation = data.draw(st.integers(0, whole - test))
    labels = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
    hashes = hash_keys((b"%d" % number for number in range(whole)), 0)
    thresholds = find_thresholds_by_label(labels, hashes, test or None, validation or None)
    found = count_splits(labels, hashes, thresholds)
    assert sum(found[label, "test"] for label in range(len(sizes))) == test
    assert sum(found[label, "validation"] for label in range(len(sizes))) == validation
    for label, size in enumerate(sizes):
        assert abs(found[label, "test"] - test * size / whole) < 1


def test_stratified_split_equal_remainders_go_to_lower_label() -> None:
    # 4, 3 and 3 of 10 images, 5 wanted: 2, 1.5 and 1.5; the lower label gets the half left over.
    labels = np.repeat(np.arange(3, dtype=np.int32), [4, 3, 3])
    hashes = np.array([0, 1, 2, 3, 0, 1, 2, 0, 1, 2], np.uint64)
    found = count_splits(labels, hashes, find_thresholds_by_label(labels, hashes, 0.5, None))
    assert [found[label, "test"] for label in range(3)] == [2, 2, 1]


def test_stratified_split_single_image_classes_are_used_once() -> None:
    labels = np.arange(10, dtype=np.int32)
    hashes = hash_keys((b"%d" % label for label in range(10)), 0)
    found = count_splits(labels, hashes, find_thresholds_by_label(labels, hashes, 3, 3))
    by_split = Counter(split for _, split in found.elements())
    assert by_split == {"test": 3, "validation": 3, "train": 4}
