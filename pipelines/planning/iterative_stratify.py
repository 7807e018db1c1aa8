"""Iterative stratification of images with any number of labels.

The algorithm is that of Sechidis, Tsoumakas and Vlahavas, "On the Stratification of Multi-Label
Data" (2011). It repeatedly takes the label that the fewest images without a split have, and gives
each of these images to the split that lacks the most images with this label, until the split is
full. The images of a group are one unit. Units are visited in the order of their hashes, and all
numbers are integers, so the result is the same on every machine.
"""

from __future__ import annotations

import heapq
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipelines.planning.split_hash import Hashes, SplitNumbers
from records.format.layout import SPLITS

_NO_SPLIT = -1

Counts = NDArray[np.int64]


class SplitCounts(NamedTuple):
    """Numbers of images by split, and by label and split.

    Attributes:
        images: the number of images of each split, (splits,).
        labels: the number of images with each label, and then without a label, by split,
            (labels + 1, splits).
    """

    images: Counts
    labels: Counts


class LabelledImages(NamedTuple):
    """The labels of images, one image after the other.

    Attributes:
        labels: the distinct labels of each image, (M,).
        counts: the number of labels of each image, (N,).
    """

    labels: NDArray[np.int32]
    counts: NDArray[np.int64]

    def pairs(self, classes: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return an image and a label for each label; an image without one has label `classes`."""
        rows = np.arange(len(self.counts))
        without = rows[self.counts == 0]
        images = np.concatenate([np.repeat(rows, self.counts), without])
        labels = np.concatenate([self.labels, np.full(len(without), classes)])
        return images, labels


def count_splits(images: LabelledImages, splits: SplitNumbers, classes: int) -> SplitCounts:
    """Return the numbers of images with a split; a split of -1 means none.

    Args:
        images: the labels of the images.
        splits: the split of each image, (N,).
        classes: the number of classes.
    """
    width = len(SPLITS)
    rows, labels = images.pairs(classes)
    has_split = splits[rows] >= 0
    places = labels[has_split] * width + splits[rows][has_split]
    by_label = np.bincount(places, minlength=(classes + 1) * width).reshape(-1, width)
    by_split = np.bincount(splits[splits >= 0], minlength=width)
    return SplitCounts(by_split.astype(np.int64), by_label.astype(np.int64))


def stratify_iteratively(
    images: LabelledImages, hashes: Hashes, wanted: Counts, existing: SplitCounts
) -> SplitNumbers:
    """Return the split of each image, (N,).

    Args:
        images: the labels of the images.
        hashes: the hash of the key or the group of each image, (N,); images with equal hashes are
            a unit.
        wanted: the number of images in each split, (splits,): of these and the existing ones.
        existing: the numbers of the images that have a split already.
    """
    units = _make_units(images, hashes, len(existing.labels) - 1)
    return _Stratification(units, wanted, existing).assign()[units.of_image]


class _Units(NamedTuple):
    """Images and groups, in the order of their hashes.

    Attributes:
        of_image: the unit of each image, (N,).
        hashes: the hash of each unit, (U,).
        sizes: the number of images of each unit, (U,).
        first: the position of the first label of each unit, (U + 1,).
        labels: the distinct labels of each unit, one unit after the other, (M,).
        counts: the number of images of the unit with this label, (M,).
    """

    of_image: NDArray[np.intp]
    hashes: Hashes
    sizes: Counts
    first: NDArray[np.intp]
    labels: NDArray[np.int64]
    counts: Counts


def _make_units(images: LabelledImages, hashes: Hashes, classes: int) -> _Units:
    unique, of_image, sizes = np.unique(hashes, return_inverse=True, return_counts=True)
    rows, labels = images.pairs(classes)
    pairs, counts = np.unique(of_image[rows] * (classes + 1) + labels, return_counts=True)
    owners, labels = np.divmod(pairs, classes + 1)
    first = np.searchsorted(owners, np.arange(len(unique) + 1))
    return _Units(of_image, unique, sizes, first, labels, counts)


class _Stratification:
    """One run of the algorithm.

    `_lacking` is the number of images with a label that a split lacks, times the number of all
    images, so that it is an integer.
    """

    def __init__(self, units: _Units, wanted: Counts, existing: SplitCounts) -> None:
        self._units = units
        self._total = int(wanted.sum())
        self._remaining = np.zeros(len(existing.labels), np.int64)
        np.add.at(self._remaining, units.labels, units.counts)
        of_label = existing.labels.sum(1) + self._remaining
        self._lacking = of_label[:, None] * wanted - self._total * existing.labels
        self._left: list[int] = (wanted - existing.images).tolist()
        self._splits = np.full(len(units.hashes), _NO_SPLIT, np.int8)
        # The units with each label, one label after the other.
        order = np.argsort(units.labels, kind="stable")
        self._owners = np.searchsorted(units.first, order, side="right") - 1
        self._owner_counts = units.counts[order]
        labels = np.arange(len(existing.labels) + 1)
        self._label_first = np.searchsorted(units.labels[order], labels)
        # An entry whose number is no longer that of its label is ignored.
        self._heap = [(n, label) for label, n in enumerate(self._remaining.tolist()) if n > 0]
        heapq.heapify(self._heap)

    def assign(self) -> SplitNumbers:
        """Return the split of each unit, (U,)."""
        while (rarest := self._find_rarest()) is not None:
            begin, end = self._label_first[rarest : rarest + 2]
            is_free = self._splits[self._owners[begin:end]] == _NO_SPLIT
            units = self._owners[begin:end][is_free]
            counts = self._owner_counts[begin:end][is_free]
            # Large groups first: the small ones even out what they leave.
            order = np.argsort(-counts, kind="stable")
            self._assign(rarest, units[order], counts[order])
        return self._splits

    def _find_rarest(self) -> int | None:
        while self._heap:
            images, label = heapq.heappop(self._heap)
            if images == self._remaining[label]:
                return label
        return None

    def _assign(self, label: int, units: NDArray[np.intp], counts: Counts) -> None:
        """Give each of the units, which have a label, to a split."""
        chosen = self._choose(label, units, counts)
        self._splits[units] = chosen
        first, lengths = self._units.first[units], np.diff(self._units.first)[units]
        starts = np.cumsum(lengths) - lengths
        places = np.repeat(first - starts, lengths) + np.arange(int(lengths.sum()))
        labels, images = self._units.labels[places], self._units.counts[places]
        np.subtract.at(self._remaining, labels, images)
        changed = np.unique(labels)
        for entry in zip(self._remaining[changed].tolist(), changed.tolist(), strict=True):
            if entry[0] > 0:
                heapq.heappush(self._heap, entry)
        splits = np.repeat(chosen, lengths)
        np.subtract.at(self._lacking, (labels, splits), images * self._total)

    def _choose(self, label: int, units: NDArray[np.intp], counts: Counts) -> SplitNumbers:
        """Return the split of each unit with a label, (U,).

        A split is full if it lacks no image. Of several splits that lack as many images with the
        label, the one that lacks the most images is chosen; of several of these, the hash chooses.
        """
        lacking: list[int] = self._lacking[label].tolist()
        left, total = self._left, self._total
        sizes, hashes = self._units.sizes[units].tolist(), self._units.hashes[units].tolist()
        chosen = []
        for count, size, number in zip(counts.tolist(), sizes, hashes, strict=True):
            ranks = [(lacking[split], left[split], split) for split in _open(left)]
            best = max(ranks)[:2]
            tied = [split for *rank, split in ranks if tuple(rank) == best]
            split = tied[number % len(tied)]
            lacking[split] -= count * total
            left[split] -= size
            chosen.append(split)
        return np.array(chosen, np.int8)


def _open(left: list[int]) -> list[int]:
    return [split for split, images in enumerate(left) if images > 0]
