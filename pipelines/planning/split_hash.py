"""Which split an image is in: a hash of its key against two bounds, and nothing else.

The hash is xxh3-64 of the raw key (or of its group), seeded. An image is in `test` where its hash
is below the first bound, in `validation` where it is below the second, else in `train`. Fractions
are bounds by themselves; counts and stratified splits find theirs among the images listed, and keep
them in the manifest, so that whatever is added later is divided as on the first day.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
import xxhash
from numpy.typing import NDArray

from records.format.layout import SPLITS
from records.format.manifest import SplitSize, SplitThreshold

HASHES = 1 << 64

Hashes = NDArray[np.uint64]
SplitNumbers = NDArray[np.int8]
"""Splits by their places in `SPLITS`."""
NO_HASHES: Hashes = np.array([], np.uint64)


class Bounds(NamedTuple):
    """`test` takes hashes below the first, `validation` the others below the second."""

    test: int
    validation: int


def hash_keys(keys: Iterable[bytes], seed: int) -> Hashes:
    """What decides each key's split and its place in it, (N,)."""
    hash_key = xxhash.xxh3_64_intdigest
    return np.fromiter((hash_key(key, seed) for key in keys), np.uint64)


def split_numbers(hashes: Hashes, bounds: Bounds) -> SplitNumbers:
    """The split of every image by its hash, (N,)."""
    numbers = np.full(len(hashes), SPLITS.index("train"), np.int8)
    numbers[hashes < bounds.validation] = SPLITS.index("validation")
    numbers[hashes < bounds.test] = SPLITS.index("test")
    return numbers


def find_bounds(hashes: Hashes, test: SplitSize | None, validation: SplitSize | None) -> Bounds:
    """The bounds that give `test` and `validation` their fraction, or exactly their count.

    Args:
        hashes: of all images that are divided, (N,).
        test: a fraction (float) or a count (int) or None.
        validation: likewise, of all images too.
    """
    is_counted = isinstance(test, int) or isinstance(validation, int)
    ordered = np.sort(hashes) if is_counted else hashes[:0]
    first = _bound_above(0, test, ordered)
    return Bounds(first, _bound_above(first, validation, ordered))


def _bound_above(lower: int, amount: SplitSize | None, ordered: Hashes) -> int:
    if amount is None:
        return lower
    if isinstance(amount, float):
        return min(HASHES - 1, lower + int(amount * HASHES))
    last = int(np.searchsorted(ordered, np.uint64(lower))) + amount
    return int(ordered[last]) if last < len(ordered) else HASHES - 1


def find_bounds_by_label(
    labels: NDArray[np.int32], hashes: Hashes, test: SplitSize | None, validation: SplitSize | None
) -> dict[int, Bounds]:
    """Stratified bounds, one pair a class: each split has every class in the same proportion.

    Args:
        labels: of all images that are divided, (N,).
        hashes: likewise.
        test: a fraction or a count of the whole.
        validation: likewise.

    Counts of the classes are rounded by largest remainders, so that they add up to the whole's.
    """
    members = dict(group_by_label(labels))
    sizes = {label: len(rows) for label, rows in members.items()}
    whole = sum(sizes.values())
    tests = _largest_remainder(_count(test, whole), sizes)
    left = {label: size - tests[label] for label, size in sizes.items()}
    # Of what test leaves: two roundings up may otherwise ask a class for more than it has.
    validations = _largest_remainder(_count(validation, whole), left)
    return {
        label: find_bounds(hashes[rows], tests[label] or None, validations[label] or None)
        for label, rows in members.items()
    }


def group_by_label(labels: NDArray[np.int32]) -> Iterator[tuple[int, NDArray[np.intp]]]:
    """Every label there is, in order, and where it stands."""
    order = np.argsort(labels, kind="stable")
    present, first = np.unique(labels[order], return_index=True)
    return zip(present.tolist(), np.split(order, first[1:]), strict=True)


def _count(amount: SplitSize | None, whole: int) -> int:
    return round(amount * whole) if isinstance(amount, float) else amount or 0


def _largest_remainder(count: int, sizes: Mapping[int, int]) -> dict[int, int]:
    """Divide a count of images among classes of these sizes, by largest remainders."""
    whole = sum(sizes.values())
    if not whole:
        return dict.fromkeys(sizes, 0)
    total = min(count, whole)
    shares = {label: divmod(total * size, whole) for label, size in sizes.items()}
    counts = {label: share[0] for label, share in shares.items()}
    left = total - sum(counts.values())
    for label in sorted(shares, key=lambda label: (-shares[label][1], label))[:left]:
        counts[label] += 1
    return counts


def to_threshold(label: int | None, bounds: Bounds) -> SplitThreshold:
    """Bounds as the manifest keeps them."""
    return SplitThreshold(label, f"{bounds.test:016x}", f"{bounds.validation:016x}")
