"""Which split an image is in: a hash of its key against two bounds, and nothing else.

The hash is xxh3-64 of the raw key (or of its group), seeded. An image is in `test` where its hash
is below the first bound, in `validation` where it is below the second, else in `train`. Fractions
are bounds by themselves; counts and stratified splits find theirs among the images listed, and keep
them in the manifest, so that whatever is added later is divided as on the first day.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import xxhash

from records.layout import Split
from records.manifest import Amount, CutOff

HASHES = 1 << 64


class Bounds(NamedTuple):
    """`test` takes hashes below the first, `validation` the others below the second."""

    test: int
    validation: int


def hash_key(key: bytes, seed: int) -> int:
    """The uint64 that decides a key's split and its place in it."""
    return int(xxhash.xxh3_64_intdigest(key, seed))


def split_of(hashed: int, bounds: Bounds) -> Split:
    """The split of an image by its hash."""
    if hashed < bounds.test:
        return "test"
    return "validation" if hashed < bounds.validation else "train"


def find_bounds(hashes: Sequence[int], test: Amount | None, validation: Amount | None) -> Bounds:
    """The bounds that give `test` and `validation` their fraction, or exactly their count.

    Args:
        hashes: of all images that are divided.
        test: a fraction (float) or a count (int) or None.
        validation: likewise, of all images too.
    """
    ordered = sorted(hashes) if isinstance(test, int) or isinstance(validation, int) else []
    first = _bound_above(0, test, ordered)
    return Bounds(first, _bound_above(first, validation, ordered))


def _bound_above(lower: int, amount: Amount | None, ordered: Sequence[int]) -> int:
    if amount is None:
        return lower
    if isinstance(amount, float):
        return min(HASHES - 1, lower + int(amount * HASHES))
    taken = sum(1 for hashed in ordered if hashed < lower)
    last = taken + amount
    return ordered[last] if last < len(ordered) else HASHES - 1


def find_bounds_by_label(
    hashes: Iterable[tuple[int, int]], test: Amount | None, validation: Amount | None
) -> dict[int, Bounds]:
    """Stratified bounds, one pair a class: each split has every class in the same proportion.

    Args:
        hashes: (label, hash) of all images that are divided.
        test: a fraction or a count of the whole.
        validation: likewise.

    Counts of the classes are rounded by largest remainders, so that they add up to the whole's.
    """
    by_label: dict[int, list[int]] = defaultdict(list)
    for label, hashed in hashes:
        by_label[label].append(hashed)
    sizes = {label: len(members) for label, members in sorted(by_label.items())}
    whole = sum(sizes.values())
    tests = _apportion(_count(test, whole), sizes)
    left = {label: size - tests[label] for label, size in sizes.items()}
    # Of what test leaves: two roundings up may otherwise ask a class for more than it has.
    validations = _apportion(_count(validation, whole), left)
    return {
        label: find_bounds(by_label[label], tests[label] or None, validations[label] or None)
        for label in sizes
    }


def _count(amount: Amount | None, whole: int) -> int:
    return round(amount * whole) if isinstance(amount, float) else amount or 0


def _apportion(count: int, sizes: Mapping[int, int]) -> dict[int, int]:
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


def to_cut_off(label: int | None, bounds: Bounds) -> CutOff:
    """Bounds as the manifest keeps them."""
    return CutOff(label, f"{bounds.test:016x}", f"{bounds.validation:016x}")
