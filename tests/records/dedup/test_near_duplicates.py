"""From pictures that are near each other to what to leave out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest

from records.dedup.groups import NearDuplicates, group_near_duplicates
from records.dedup.hash_cache import STATES, Hashes
from records.dedup.perceptual_hash import WINDOWS, WORDS
from records.format.layout import SPLITS

if TYPE_CHECKING:
    from collections.abc import Sequence

ORIGINS = np.random.default_rng(0).integers(0, 2**64, (9, WORDS), np.uint64)


def hashes_of(pictures: Sequence[tuple[int, int] | None]) -> Hashes:
    """For each picture its origin and how many bits of that are turned over; None is a flat one."""
    words = np.zeros((len(pictures), WINDOWS, WORDS), np.uint64)
    for place, picture in enumerate(pictures):
        if picture is not None:
            origin, turned = picture
            words[place] = ORIGINS[origin]
            words[place, :, 1] ^= np.uint64((1 << turned) - 1)
    states = [STATES.index("flat" if picture is None else "hashed") for picture in pictures]
    return Hashes(np.array(states, np.uint8), words)


def near_of(
    rows: Sequence[tuple[str, str, int, tuple[int, int] | None]], *, side_px: int = 100
) -> NearDuplicates:
    """Of rows of split, key, label and picture."""
    table = pa.table(
        {
            "key": [key for _, key, _, _ in rows],
            "label": [label for _, _, label, _ in rows],
            "split": [SPLITS.index(split) for split, _, _, _ in rows],
            "width": [side_px] * len(rows),
            "height": [side_px] * len(rows),
        }
    )
    return group_near_duplicates(table, hashes_of([picture for *_, picture in rows]))


def keys_of(near: NearDuplicates) -> list[tuple[str, str, int]]:
    return [(pair.kept.key, pair.other.key, pair.hamming_distance) for pair in near.pairs]


def test_near_duplicates_leaks_come_first_and_test_split_is_kept() -> None:
    near = near_of(
        [
            ("train", "a", 0, (0, 0)),
            ("train", "b", 0, (1, 0)),
            ("train", "c", 1, (1, 3)),
            ("test", "d", 0, (0, 9)),
            ("validation", "e", 0, (2, 0)),
            ("train", "f", 0, (2, 5)),
            ("train", "g", 0, (3, 0)),
        ]
    )
    assert keys_of(near) == [("e", "f", 5), ("d", "a", 9), ("b", "c", 3)]
    assert near.keys == ("a", "c", "f")
    assert near.leak_keys == ("a", "f")
    assert (near.groups, near.leak_groups, near.conflict_groups) == (3, 2, 1)
    assert [pair.other.row for pair in near.pairs] == [5, 0, 2]


def test_near_duplicates_chain_drops_only_neighbours_of_kept_images() -> None:
    near = near_of([("train", key, 0, (0, 20 * step)) for step, key in enumerate("abcd")])
    assert near.groups == 1
    assert near.keys == ("b", "d")  # a stays, and c, which is 40 bits from it


def test_near_duplicates_leak_is_reported_when_its_neighbour_is_dropped() -> None:
    near = near_of(
        [
            ("test", "a", 0, (0, 0)),
            ("test", "b", 0, (0, 20)),
            ("train", "c", 0, (0, 40)),
        ]
    )
    assert near.keys == ("b",)
    assert near.leak_keys == ("c",)
    assert keys_of(near) == [("b", "c", 20), ("a", "b", 20)]


def test_near_duplicates_5000_copies_form_one_group() -> None:
    copies = [("train", f"{number:05}", 0, (0, 0)) for number in range(5000)]
    near = near_of([*copies, ("test", "x", 0, (0, 4)), ("train", "y", 0, (1, 0))])
    assert near.groups == 1
    assert len(near.pairs) == 5000
    assert near.keys == near.leak_keys == tuple(key for _, key, _, _ in copies)


def test_near_duplicates_featureless_images_are_not_compared() -> None:
    near = near_of([("train", "a", 0, None), ("test", "b", 0, None), ("test", "c", 0, (0, 0))])
    assert (near.compared, near.featureless, near.undecodable) == (1, 2, 0)
    assert (near.pairs, near.keys) == ((), ())


@pytest.mark.parametrize(("side_px", "pairs"), [(64, 1), (63, 0)])
def test_near_duplicates_small_images_use_smaller_distance(side_px: int, pairs: int) -> None:
    near = near_of([("train", "a", 0, (0, 0)), ("train", "b", 0, (0, 11))], side_px=side_px)
    assert len(near.pairs) == pairs


def test_near_duplicates_empty_dataset_has_no_pairs() -> None:
    near = near_of([])
    assert (near.compared, near.groups, near.pairs) == (0, 0, ())
