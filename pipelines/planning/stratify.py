"""Stratified splits: every split has the same proportion of each class."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from pipelines.planning.split_hash import Hashes, Thresholds, find_thresholds
from records.format.manifest import SplitSize


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
    # Validation images are counted among the images not in test: if both counts of a class were
    # rounded up, their sum could exceed the images of the class.
    validations = _largest_remainder(_count(validation, total), rest)
    return {
        label: find_thresholds(hashes[rows], tests[label] or None, validations[label] or None)
        for label, rows in members.items()
    }


def group_by_label(labels: NDArray[np.int32]) -> Iterator[tuple[int, NDArray[np.intp]]]:
    """Yield each label that occurs, in order, and the rows with this label."""
    order = np.argsort(labels, kind="stable")
    present, first = np.unique(labels[order], return_index=True)
    return zip(present.tolist(), np.split(order, first)[1:], strict=True)


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
