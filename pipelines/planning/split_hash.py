"""Split assignment by two thresholds on the hash of the image key.

The hash is the seeded xxh3-64 of the raw key, or of the group if the image has one. An image is in
`test` if its hash is below the first threshold, in `validation` if the hash is below the second,
otherwise in `train`. Fractions determine the thresholds. For counts and stratified splits, the
thresholds also depend on the listed images. The manifest stores the thresholds, so that images
appended later are assigned in the same way.
"""

from __future__ import annotations

from collections.abc import Iterable
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
    """Return the hash of each key, (N,), by which images are assigned to splits and sorted."""
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


def share_thresholds(
    test: SplitSize | None, validation: SplitSize | None, images: int
) -> Thresholds:
    """Return the thresholds below which evenly distributed hashes have the requested shares.

    Args:
        test: fraction (float) or count (int) of images in test, or None.
        validation: fraction (float) or count (int) of images in validation, or None.
        images: the number of images.
    """
    first = _add_share(0, test, images)
    return Thresholds(first, _add_share(first, validation, images))


def _add_share(lower: int, size: SplitSize | None, images: int) -> int:
    if size is None:
        return lower
    share = int(size * HASHES) if isinstance(size, float) else size * HASHES // max(images, 1)
    return min(HASHES - 1, lower + share)


def share_images(thresholds: Thresholds, images: int) -> NDArray[np.int64]:
    """Return the number of images of each split, in proportion to the thresholds, (splits,)."""
    test, both = ((bound * images + HASHES // 2) // HASHES for bound in thresholds)
    sizes = {"test": test, "validation": both - test, "train": images - both}
    return np.array([sizes[split] for split in SPLITS], np.int64)


def to_threshold(label: int | None, thresholds: Thresholds) -> SplitThreshold:
    """Return the thresholds of a class, or of all classes, as the manifest stores them."""
    return SplitThreshold(label, f"{thresholds.test:016x}", f"{thresholds.validation:016x}")


def from_threshold(stored: SplitThreshold) -> Thresholds:
    """Return the thresholds that the manifest stores."""
    return Thresholds(int(stored.test, 16), int(stored.validation, 16))
