from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.planning.split_hash import (
    HASHES,
    Thresholds,
    find_thresholds,
    hash_keys,
    split_numbers,
    to_threshold,
)
from records.format.layout import SPLITS

KEYS = st.sets(st.binary(min_size=1, max_size=12), min_size=1, max_size=200)
FRACTIONS = st.floats(0.01, 0.45)


def assign(keys: set[bytes], thresholds: Thresholds, seed: int = 0) -> dict[bytes, str]:
    ordered = list(keys)
    numbers = split_numbers(hash_keys(ordered, seed), thresholds)
    return {key: SPLITS[number] for key, number in zip(ordered, numbers, strict=True)}


def test_hash_keys_raw_bytes_and_seed_give_fixed_value() -> None:
    # python -c "import xxhash; print(xxhash.xxh3_64_intdigest(b'cat/\xff.png', 7))"
    key = b"cat/\xff.png"
    assert hash_keys([key], 7).tolist() == [13104012271597736068]
    assert hash_keys([key], 7) != hash_keys([key], 8)


@given(keys=KEYS, more=KEYS, seed=st.integers(0, HASHES - 1), test=FRACTIONS, validation=FRACTIONS)
def test_split_fractions_added_images_do_not_move_existing_ones(
    keys: set[bytes], more: set[bytes], seed: int, test: float, validation: float
) -> None:
    def thresholds(of: set[bytes]) -> Thresholds:
        return find_thresholds(hash_keys(of, seed), test, validation)

    few = assign(keys, thresholds(keys), seed)
    many = assign(keys | more, thresholds(keys | more), seed)
    assert few.items() <= many.items()


@given(keys=KEYS, data=st.data())
def test_split_counts_are_exact(keys: set[bytes], data: st.DataObject) -> None:
    test = data.draw(st.integers(0, len(keys)))
    validation = data.draw(st.integers(0, len(keys) - test))
    hashes = hash_keys(keys, 0)
    splits = Counter(
        assign(keys, find_thresholds(hashes, test or None, validation or None)).values()
    )
    assert (splits["test"], splits["validation"]) == (test, validation)


@given(keys=KEYS, data=st.data())
def test_split_fraction_with_count_keeps_fraction_and_exact_count(
    keys: set[bytes], data: st.DataObject
) -> None:
    count = data.draw(st.integers(1, max(1, len(keys) // 2)))
    hashes = hash_keys(keys, 0)
    alone = assign(keys, find_thresholds(hashes, 0.3, None))
    both = assign(keys, find_thresholds(hashes, 0.3, count))
    left = sum(split == "train" for split in alone.values())
    assert {key for key in keys if both[key] == "test"} == {
        key for key in keys if alone[key] == "test"
    }
    assert Counter(both.values())["validation"] == min(count, left)
    assert Counter(assign(keys, find_thresholds(hashes, count, 0.3)).values())["test"] == count


def test_split_fractions_many_images_are_approximately_met() -> None:
    keys = {f"cat/{number}.png".encode() for number in range(20_000)}
    splits = Counter(assign(keys, find_thresholds(hash_keys([], 0), 0.2, 0.1)).values())
    assert splits["test"] == pytest.approx(4000, rel=0.05)
    assert splits["validation"] == pytest.approx(2000, rel=0.05)


def test_to_threshold_thresholds_are_written_as_hex() -> None:
    cut_off = to_threshold(3, Thresholds(255, HASHES - 1))
    assert (cut_off.label, cut_off.test, cut_off.validation) == (3, "00000000000000ff", "f" * 16)
