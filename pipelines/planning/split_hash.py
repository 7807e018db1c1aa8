"""Split assignment by two thresholds on the hash of the image key.

The hash is the seeded xxh3-64 of the raw key, or of the group if the image has one. An image is in
`test` if its hash is below the first threshold, in `validation` if the hash is below the second,
otherwise in `train`. Fractions determine the thresholds. For counts and stratified splits, the
thresholds also depend on the listed images. The manifest stores the thresholds, so that images
appended later are assigned in the same way.
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
"""Splits as indexes into `SPLITS`, (N,)."""
NO_HASHES: Hashes = np.array([], np.uint64)


class Thresholds(NamedTuple):
    """Exclusive upper bounds of the hashes in test, and of the remaining hashes in validation."""

    test: int
    validation: int


def hash_keys(keys: Iterable[bytes], seed: int) -> Hashes:
    """Return the hash of each key, (N,); it determines the split and the position in the split."""
    hash_key = xxhash.xxh3_64_intdigest
    return np.fromiter((hash_key(key, seed) for key in keys), np.uint64)


def split_numbers(hashes: Hashes, thresholds: Thresholds) -> SplitNumbers:
    """Return the split of every image by its hash, (N,)."""
    numbers = np.full(len(hashes), SPLITS.index("train"), np.int8)
    numbers[hashes < thresholds.validation] = SPLITS.index("validation")
    numbers[hashes < thresholds.test] = SPLITS.index("test")
    return numbers


def find_thresholds(
    hashes: Hashes, test: SplitSize | None, validation: SplitSize | None
) -> Thresholds:
    """Return the thresholds that give `test` and `validation` their fraction or exact count.

    Args:
        hashes: hashes of all images to assign, (N,).
        test: fraction (float) or count (int) of images in test, or None.
        validation: fraction (float) or count (int) of images in validation, or None.
    """
    is_counted = isinstance(test, int) or isinstance(validation, int)
    ordered = np.sort(hashes) if is_counted else hashes[:0]
    first = _threshold_above(0, test, ordered)
    return Thresholds(first, _threshold_above(first, validation, ordered))


def _threshold_above(lower: int, size: SplitSize | None, ordered: Hashes) -> int:
    if size is None:
        return lower
    if isinstance(size, float):
        return min(HASHES - 1, lower + int(size * HASHES))
    last = int(np.searchsorted(ordered, np.uint64(lower))) + size
    return int(ordered[last]) if last < len(ordered) else HASHES - 1


def find_thresholds_by_label(
    labels: NDArray[np.int32], hashes: Hashes, test: SplitSize | None, validation: SplitSize | None
) -> dict[int, Thresholds]:
    """Return stratified thresholds by label: each split has the same proportion of every class.

    Class counts are rounded by largest remainders, so that their sum is exact.

    Args:
        labels: labels of all images to assign, (N,).
        hashes: hashes of the same images, (N,).
        test: fraction (float) or count (int) of images in test, or None.
        validation: fraction (float) or count (int) of images in validation, or None.
    """
    members = dict(group_by_label(labels))
    sizes = {label: len(rows) for label, rows in members.items()}
    total = sum(sizes.values())
    tests = _largest_remainder(_count(test, total), sizes)
    rest = {label: size - tests[label] for label, size in sizes.items()}
    # From the images not in test: rounding up twice could request more images than a class has.
    validations = _largest_remainder(_count(validation, total), rest)
    return {
        label: find_thresholds(hashes[rows], tests[label] or None, validations[label] or None)
        for label, rows in members.items()
    }


def group_by_label(labels: NDArray[np.int32]) -> Iterator[tuple[int, NDArray[np.intp]]]:
    """Yield each label that occurs, in order, and the rows with this label."""
    order = np.argsort(labels, kind="stable")
    present, first = np.unique(labels[order], return_index=True)
    return zip(present.tolist(), np.split(order, first[1:]), strict=True)


def _count(size: SplitSize | None, total: int) -> int:
    return round(size * total) if isinstance(size, float) else size or 0


def _largest_remainder(count: int, sizes: Mapping[int, int]) -> dict[int, int]:
    """Distribute a count among classes in proportion to `sizes`, by largest remainders."""
    total = sum(sizes.values())
    if not total:
        return dict.fromkeys(sizes, 0)
    count = min(count, total)
    quotas = {label: divmod(count * size, total) for label, size in sizes.items()}
    counts = {label: quota[0] for label, quota in quotas.items()}
    rest = count - sum(counts.values())
    for label in sorted(quotas, key=lambda label: (-quotas[label][1], label))[:rest]:
        counts[label] += 1
    return counts


def to_threshold(label: int | None, thresholds: Thresholds) -> SplitThreshold:
    """Return the thresholds of a class, or of all classes, as the manifest stores them."""
    return SplitThreshold(label, f"{thresholds.test:016x}", f"{thresholds.validation:016x}")


def from_threshold(stored: SplitThreshold) -> Thresholds:
    """Return the thresholds that the manifest stores."""
    return Thresholds(int(stored.test, 16), int(stored.validation, 16))
