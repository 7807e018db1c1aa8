"""The search finds what comparing each picture with each finds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from records.dedup.hamming_search import find_pairs
from records.dedup.perceptual_hash import WINDOWS, WORDS
from records.dedup.thresholds import MAX_DISTANCE, MAX_DISTANCE_FIRST_WORD

if TYPE_CHECKING:
    from numpy.typing import NDArray


def make_hashes(pictures: int, *, seed: int = 0) -> NDArray[np.uint64]:
    """Hashes of which many are near each other: a few, with some bits of each turned over."""
    random = np.random.default_rng(seed)
    shape = (pictures, WINDOWS, WORDS)
    origins = random.integers(0, 2**64, (pictures // 4, 1, WORDS), np.uint64)
    hashes = origins[random.integers(0, len(origins), pictures)].repeat(WINDOWS, 1)
    assert hashes.shape == shape
    chances = random.uniform(0, [[[0.08], [0.24], [0.24]]], (pictures, WINDOWS, WORDS, 1))
    turned = np.packbits(random.random((*shape, 64)) < chances, axis=-1).view(np.uint64)
    hashes ^= turned[..., 0]
    hashes &= np.array([2**64 - 1, 2**64 - 1, 2**16 - 1], np.uint64)
    return hashes


def compare_each_with_each(
    hashes: NDArray[np.uint64], max_distance: NDArray[np.uint8]
) -> dict[tuple[int, int], int]:
    apart = np.bitwise_count(hashes[:, None, :1] ^ hashes[None])
    bits = apart.sum(axis=-1).astype(int)
    bits[(apart[..., 0] > MAX_DISTANCE_FIRST_WORD)] = 255
    least = np.minimum(bits.min(axis=-1), bits.min(axis=-1).T)
    limits = np.minimum(max_distance[:, None], max_distance[None])
    found = np.argwhere(np.triu(least <= limits, 1))
    return {(int(one), int(other)): int(least[one, other]) for one, other in found}


def as_dict(hashes: NDArray[np.uint64], max_distance: NDArray[np.uint8]) -> dict[object, int]:
    pairs = find_pairs(hashes, max_distance)
    keys = zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)
    return dict(zip(keys, pairs.distance.tolist(), strict=True))


@pytest.mark.parametrize("seed", range(3))
def test_hamming_search_equals_brute_force(seed: int) -> None:
    hashes = make_hashes(160, seed=seed)
    limits = np.full(len(hashes), MAX_DISTANCE, np.uint8)
    expected = compare_each_with_each(hashes, limits)
    distances = set(expected.values())
    assert min(distances) < 10
    assert max(distances) > MAX_DISTANCE - 8
    assert as_dict(hashes, limits) == expected


def test_hamming_search_per_image_limits_use_the_smaller() -> None:
    hashes = make_hashes(160)
    limits = np.where(np.arange(160) % 2, 10, MAX_DISTANCE).astype(np.uint8)
    expected = compare_each_with_each(hashes, limits)
    assert as_dict(hashes, limits) == expected
    assert len(expected) < len(compare_each_with_each(hashes, np.full(160, MAX_DISTANCE, np.uint8)))


@pytest.mark.parametrize("pictures", [0, 1, 2])
def test_hamming_search_zero_to_two_images_gives_expected_pairs(pictures: int) -> None:
    hashes = np.ones((pictures, WINDOWS, WORDS), np.uint64)
    pairs = find_pairs(hashes)
    assert pairs.first.tolist() == [0] * (pictures - 1)
    assert pairs.second.tolist() == [1] * (pictures - 1)


def test_hamming_search_progress_reaches_total() -> None:
    told: list[tuple[int, int]] = []
    find_pairs(make_hashes(40), on_progress=lambda done, total: told.append((done, total)))
    assert [done for done, _ in told] == list(range(1, told[0][1] + 1))
