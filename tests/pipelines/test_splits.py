from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.splits import (
    HASHES,
    Bounds,
    find_bounds,
    find_bounds_by_label,
    hash_key,
    split_of,
    to_cut_off,
)

KEYS = st.sets(st.binary(min_size=1, max_size=12), min_size=1, max_size=200)
FRACTIONS = st.floats(0.01, 0.45)


def assign(keys: set[bytes], bounds: Bounds, seed: int = 0) -> dict[bytes, str]:
    return {key: split_of(hash_key(key, seed), bounds) for key in keys}


def test_the_hash_is_of_raw_bytes_seeded_and_never_changes() -> None:
    # python -c "import xxhash; print(xxhash.xxh3_64_intdigest(b'cat/\xff.png', 7))"
    assert hash_key(b"cat/\xff.png", 7) == 13104012271597736068
    assert hash_key(b"cat/\xff.png", 7) != hash_key(b"cat/\xff.png", 8)


@given(keys=KEYS, more=KEYS, seed=st.integers(0, HASHES - 1), test=FRACTIONS, validation=FRACTIONS)
def test_with_fractions_other_images_change_nothing(
    keys: set[bytes], more: set[bytes], seed: int, test: float, validation: float
) -> None:
    def bounds(of: set[bytes]) -> Bounds:
        return find_bounds([hash_key(key, seed) for key in of], test, validation)

    few = assign(keys, bounds(keys), seed)
    many = assign(keys | more, bounds(keys | more), seed)
    assert few.items() <= many.items()


@given(keys=KEYS, data=st.data())
def test_counts_are_exact(keys: set[bytes], data: st.DataObject) -> None:
    test = data.draw(st.integers(0, len(keys)))
    validation = data.draw(st.integers(0, len(keys) - test))
    hashes = [hash_key(key, 0) for key in keys]
    splits = Counter(assign(keys, find_bounds(hashes, test or None, validation or None)).values())
    assert (splits["test"], splits["validation"]) == (test, validation)


@given(keys=KEYS, data=st.data())
def test_a_fraction_beside_a_count(keys: set[bytes], data: st.DataObject) -> None:
    count = data.draw(st.integers(1, max(1, len(keys) // 2)))
    hashes = [hash_key(key, 0) for key in keys]
    alone = assign(keys, find_bounds(hashes, 0.3, None))
    both = assign(keys, find_bounds(hashes, 0.3, count))
    left = sum(split == "train" for split in alone.values())
    assert {key for key in keys if both[key] == "test"} == {
        key for key in keys if alone[key] == "test"
    }
    assert Counter(both.values())["validation"] == min(count, left)
    assert Counter(assign(keys, find_bounds(hashes, count, 0.3)).values())["test"] == count


def test_fractions_come_out_nearly_right() -> None:
    keys = {f"cat/{number}.png".encode() for number in range(20_000)}
    splits = Counter(assign(keys, find_bounds([], 0.2, 0.1)).values())
    assert splits["test"] == pytest.approx(4000, rel=0.05)
    assert splits["validation"] == pytest.approx(2000, rel=0.05)


@given(
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=8),
    data=st.data(),
)
def test_stratified_counts_add_up_and_are_fair(sizes: list[int], data: st.DataObject) -> None:
    whole = sum(sizes)
    test = data.draw(st.integers(0, whole))
    validation = data.draw(st.integers(0, whole - test))
    keys = [(label, b"%d/%d" % (label, n)) for label, size in enumerate(sizes) for n in range(size)]
    hashes = [(label, hash_key(key, 0)) for label, key in keys]
    bounds = find_bounds_by_label(hashes, test or None, validation or None)
    found = Counter((label, split_of(hashed, bounds[label])) for label, hashed in hashes)
    assert sum(found[label, "test"] for label in range(len(sizes))) == test
    assert sum(found[label, "validation"] for label in range(len(sizes))) == validation
    for label, size in enumerate(sizes):
        assert abs(found[label, "test"] - test * size / whole) < 1


def test_largest_remainders() -> None:
    # 4, 3 and 3 of 10 images, 5 wanted: 2, 1.5 and 1.5; the lower label gets the half left over.
    hashes = [(0, n) for n in range(4)] + [(1, n) for n in range(3)] + [(2, n) for n in range(3)]
    bounds = find_bounds_by_label(hashes, 0.5, None)
    counts = [
        sum(split_of(h, bounds[label]) == "test" for other, h in hashes if other == label)
        for label in range(3)
    ]
    assert counts == [2, 2, 1]


def test_classes_of_one_image_are_not_asked_for_two() -> None:
    hashes = [(label, hash_key(b"%d" % label, 0)) for label in range(10)]
    bounds = find_bounds_by_label(hashes, 3, 3)
    found = Counter(split_of(hashed, bounds[label]) for label, hashed in hashes)
    assert found == {"test": 3, "validation": 3, "train": 4}


def test_cut_offs_are_written_as_hex() -> None:
    cut_off = to_cut_off(3, Bounds(255, HASHES - 1))
    assert (cut_off.label, cut_off.test, cut_off.validation) == (3, "00000000000000ff", "f" * 16)
