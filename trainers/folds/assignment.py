"""Assignment of images to folds, by their hashes and labels.

Each unit (a group, or an image with its copies) has a favourite fold, by its hash. So most images
keep their folds when others are added. Only the units with which a fold would get more than its
share of a class go to other folds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

# SplitMix64 (Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators", 2014).
_STEP = 0x9E3779B97F4A7C15
_ROUNDS = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))
_LAST_SHIFT = np.uint64(31)


class _Units(NamedTuple):
    """The units of all images.

    Attributes:
        hashes: the hash of each unit, uint64 (units,).
        sizes: the number of images of each unit, int64 (units,).
        strata: the stratum of each unit, from 0, int64 (units,): each stratum is divided evenly.
    """

    hashes: NDArray[np.uint64]
    sizes: NDArray[np.int64]
    strata: NDArray[np.int64]


def assign_folds(
    units: NDArray[np.uint64],
    labels: NDArray[np.int64],
    folds: int,
    *,
    images: NDArray[np.int64] | None = None,
    seed: int = 0,
) -> NDArray[np.int64]:
    """Return the fold of each image, from 0, int64 (images,).

    No unit is divided. The images of a class are spread evenly over the folds; a unit with several
    classes counts as one of its rarest class. If every unit is one image with one label, the
    numbers of images of a class in two folds differ by at most 1, and so do the sizes of two folds.
    No fold is empty, unless there are fewer units than folds.

    Args:
        units: the unit of each image, as a number of 64 bits, (images,).
        labels: the labels of all images, from 0, (labels,).
        folds: the number of folds.
        images: the image of each label, (labels,); by default, each image has exactly one label.
        seed: the seed of the hashes.
    """
    keys, members, sizes = np.unique(units, return_inverse=True, return_counts=True)
    owners = members if images is None else members[images]
    strata = _find_rarest(owners, labels, len(keys))
    return _assign(_Units(_hash(keys, seed), sizes, strata), folds)[members]


def _hash(values: NDArray[np.uint64], seed: int) -> NDArray[np.uint64]:
    """Return a hash of each number, (numbers,)."""
    mixed = values.astype(np.uint64) + np.uint64((seed + 1) * _STEP % 2**64)
    for shift, factor in _ROUNDS:
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return mixed ^ (mixed >> _LAST_SHIFT)


def _find_rarest(
    owners: NDArray[np.int64], labels: NDArray[np.int64], units: int
) -> NDArray[np.int64]:
    """Return the number of the rarest label of each unit; units without labels have their own.

    Args:
        owners: the unit of each label, (labels,).
        labels: the labels, (labels,).
        units: the number of units.

    Returns:
        Numbers from 0 without gaps, in the order of the labels, int64 (units,).
    """
    counts = np.bincount(labels)
    rarest_first = np.argsort(counts, kind="stable")
    rank = np.empty(len(counts), np.int64)
    rank[rarest_first] = np.arange(len(counts))
    best = np.full(units, len(counts))
    np.minimum.at(best, owners, rank[labels])
    found = np.append(rarest_first, len(counts))[best]
    strata: NDArray[np.int64] = np.unique(found, return_inverse=True)[1]
    return strata


def _assign(units: _Units, folds: int) -> NDArray[np.int64]:
    """Return the fold of each unit, (units,)."""
    chosen = (units.hashes % np.uint64(folds)).astype(np.int64)
    images = np.bincount(units.strata, weights=units.sizes).astype(np.int64)
    # With fewer units than folds, some folds get no image of the stratum.
    shares = np.where(np.bincount(units.strata) < folds, 0, images // folds)
    order, stays = _keep_favourites(units, chosen, shares, folds)
    kept = order[stays]
    filled = np.zeros((len(images), folds), np.int64)
    np.add.at(filled, (units.strata[kept], chosen[kept]), units.sizes[kept])
    totals, counted = np.zeros(folds, np.int64), 0
    for stratum, moved in _by_stratum(units, order[~stays]):
        totals += filled[counted:stratum].sum(axis=0)
        counted = stratum
        sizes, others = filled[stratum].tolist(), totals.tolist()
        for unit in moved:
            fold = _choose(sizes, others, int(shares[stratum]), int(chosen[unit]))
            sizes[fold] += int(units.sizes[unit])
            chosen[unit] = fold
        filled[stratum] = sizes
    return chosen


def _keep_favourites(
    units: _Units, favourites: NDArray[np.int64], shares: NDArray[np.int64], folds: int
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the units in an order, and which of them keep their favourite fold.

    In each fold, these are the largest units of each stratum, in the order of their hashes if they
    have equal sizes, until the fold has its share of the images or of the units.

    Args:
        units: the units.
        favourites: the favourite fold of each unit, (units,).
        shares: the share of each fold of the images of each stratum, rounded down, (strata,).
        folds: the number of folds.
    """
    order = np.lexsort((units.hashes, -units.sizes, favourites, units.strata))
    strata, sizes = units.strata[order], units.sizes[order]
    cells = strata * folds + favourites[order]
    starts = np.flatnonzero(np.diff(cells, prepend=-1))
    start = np.repeat(starts, np.diff(starts, append=len(cells)))
    images_before = np.cumsum(sizes) - sizes
    units_before = np.arange(len(cells))
    is_below = images_before - images_before[start] < shares[strata]
    most_units = np.bincount(strata) // folds
    return order, is_below & (units_before - start < most_units[strata])


def _by_stratum(units: _Units, moved: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Yield each stratum that has moved units, in order, with these units, the largest first."""
    order = np.lexsort((units.hashes[moved], -units.sizes[moved], units.strata[moved]))
    moved = moved[order]
    strata, starts = np.unique(units.strata[moved], return_index=True)
    ends = [*starts[1:].tolist(), len(moved)]
    for stratum, start, end in zip(strata.tolist(), starts.tolist(), ends, strict=False):
        yield stratum, moved[start:end]


def _choose(sizes: list[int], others: list[int], share: int, favourite: int) -> int:
    """Return the fold for a unit: the one with the fewest images of its stratum.

    Folds that have their share also compare their images of the other strata. Then the next fold
    after the favourite one is chosen.

    Args:
        sizes: the number of images of the stratum in each fold.
        others: the number of images of the strata before it in each fold.
        share: the share of each fold of the images of the stratum, rounded down.
        favourite: the favourite fold of the unit.
    """
    folds = len(sizes)

    def rank(fold: int) -> tuple[int, int, int]:
        images = others[fold] if sizes[fold] >= share else 0
        return sizes[fold], images, (fold - favourite) % folds

    return min(range(folds), key=rank)
