"""Assignment of splits, as the source specifies or by hash."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipelines.planning.existing_splits import ExistingSplits
from pipelines.planning.iterative_stratify import (
    LabelledImages,
    SplitCounts,
    count_splits,
    stratify_iteratively,
)
from pipelines.planning.split_hash import (
    NO_HASHES,
    Hashes,
    SplitNumbers,
    Thresholds,
    find_thresholds,
    from_threshold,
    hash_keys,
    share_images,
    share_thresholds,
    split_numbers,
    to_threshold,
)
from pipelines.planning.stratify import find_thresholds_by_label, group_by_label
from records.errors import UsageError
from records.format.layout import SPLITS, SplitName
from records.format.manifest import Settings, SplitThreshold
from records.runtime.row_table import iter_rows
from records.text.formatting import pluralize

_TRAIN = SPLITS.index("train")


class SplitAssignment(NamedTuple):
    """The split of every image, (N,), and the thresholds, none if no split was requested."""

    splits: SplitNumbers
    thresholds: tuple[SplitThreshold, ...]


def assign_splits(
    images: pa.Table,
    hashes: Hashes,
    settings: Settings,
    existing: ExistingSplits | None = None,
    *,
    is_split: bool = False,
) -> SplitAssignment:
    """Assign a split to every image.

    Args:
        images: table of label, labels, split, group and key, as in `Sources`.
        hashes: hashes of the image keys, (N,).
        settings: the requested splits.
        existing: the splits of the dataset, for an append; its thresholds apply unchanged.
        is_split: whether every image has its split already, for a compaction: the groups that
            decided it are unknown.

    Raises:
        UsageError: a requested split would be empty, or the source already has that split.
    """
    splits = _explicit_splits(images["split"])
    if is_split:
        return SplitAssignment(splits, () if existing is None else existing.thresholds)
    requested = _requested(settings)
    if not requested:
        return SplitAssignment(splits, ())
    if existing is None:
        _refuse_explicit(requested, splits)
    hashes = _group_hashes(images, hashes, settings.seed)
    assign = _stratify_iteratively if settings.is_iterative else _assign_by_hash
    assigned, thresholds = assign(images, hashes, splits, settings, existing)
    if existing is None:
        _refuse_empty(settings, assigned, int(np.count_nonzero(splits == _TRAIN)))
    return SplitAssignment(
        assigned, tuple(to_threshold(label, pair) for label, pair in thresholds.items())
    )


def _assign_by_hash(
    images: pa.Table,
    hashes: Hashes,
    splits: SplitNumbers,
    settings: Settings,
    existing: ExistingSplits | None,
) -> tuple[SplitNumbers, dict[int | None, Thresholds]]:
    """Return splits and thresholds; images that the source does not assign are split by hash."""
    by_hash = splits == _TRAIN
    hashes, labels = hashes[by_hash], images["label"].to_numpy()[by_hash]
    if existing is None:
        thresholds = _find_thresholds(labels, hashes, settings)
    else:
        thresholds = _extend(existing.thresholds, labels, settings)
    assigned = splits.copy()
    assigned[by_hash] = _split(labels, hashes, thresholds, settings)
    return assigned, thresholds


def _stratify_iteratively(
    images: pa.Table,
    hashes: Hashes,
    splits: SplitNumbers,
    settings: Settings,
    existing: ExistingSplits | None,
) -> tuple[SplitNumbers, dict[int | None, Thresholds]]:
    """Return splits and thresholds, which are the shares of the splits; see `share_thresholds`.

    An append continues the stratification: existing images count, and keep their groups together.
    """
    assigned = np.where(splits == _TRAIN, np.int8(-1), splits)
    if existing is not None:
        of_group = existing.find_groups(images["group"])
        assigned = np.where(assigned < 0, of_group, assigned)
    is_free = assigned < 0
    labelled = _labels_of(images)
    classes = int(labelled.labels.max(initial=-1)) + 1
    classes = max(classes, 0 if existing is None else len(existing.class_records))
    counts = count_splits(labelled, assigned, classes)
    if existing is None:
        shares = share_thresholds(settings.test, settings.validation, int(is_free.sum()))
    else:
        counts = SplitCounts(*map(np.add, counts, existing.counts(classes)))
        shares = from_threshold(existing.thresholds[0])
    # Images of a split that was not requested are outside of the shares.
    has_share = [split == "train" or split in _requested(settings) for split in SPLITS]
    counts = SplitCounts(counts.images * has_share, counts.labels * has_share)
    wanted = share_images(shares, int(counts.images.sum() + is_free.sum()))
    free = LabelledImages(
        labelled.labels[np.repeat(is_free, labelled.counts)], labelled.counts[is_free]
    )
    assigned[is_free] = stratify_iteratively(free, hashes[is_free], wanted, counts)
    return assigned, {None: shares}


def _labels_of(images: pa.Table) -> LabelledImages:
    labels = images["labels"].combine_chunks()
    lengths = pc.list_value_length(labels)
    return LabelledImages(labels.flatten().to_numpy(), np.asarray(lengths, np.int64))


def _explicit_splits(explicit: pa.ChunkedArray) -> SplitNumbers:
    """Return the splits that the source specifies; `train` if it specifies none."""
    if explicit.null_count == len(explicit):
        return np.full(len(explicit), _TRAIN, np.int8)
    numbers = pc.index_in(explicit, pa.array(SPLITS, pa.string())).fill_null(_TRAIN)
    return np.asarray(numbers, np.int8)


def _split(
    labels: NDArray[np.int32],
    hashes: Hashes,
    thresholds: Mapping[int | None, Thresholds],
    settings: Settings,
) -> SplitNumbers:
    if not settings.stratify:
        return split_numbers(hashes, thresholds[None])
    splits = np.empty(len(hashes), np.int8)
    for label, rows in group_by_label(labels):
        splits[rows] = split_numbers(hashes[rows], thresholds[label])
    return splits


def _find_thresholds(
    labels: NDArray[np.int32], hashes: Hashes, settings: Settings
) -> dict[int | None, Thresholds]:
    if settings.stratify:
        by_label = find_thresholds_by_label(labels, hashes, settings.test, settings.validation)
        return dict(by_label.items())
    return {None: find_thresholds(hashes, settings.test, settings.validation)}


def _extend(
    existing: tuple[SplitThreshold, ...], labels: NDArray[np.int32], settings: Settings
) -> dict[int | None, Thresholds]:
    """Return the existing thresholds and, if splits are stratified, thresholds for new classes.

    The thresholds for new classes result from the requested fractions. A split that was requested
    as a count receives no images of new classes.
    """
    thresholds = {stored.label: from_threshold(stored) for stored in existing}
    if settings.stratify:
        test, validation = (
            size if isinstance(size, float) else None
            for size in (settings.test, settings.validation)
        )
        for label in np.unique(labels).tolist():
            thresholds.setdefault(label, find_thresholds(NO_HASHES, test, validation))
    return thresholds


def _requested(settings: Settings) -> list[SplitName]:
    sizes: dict[SplitName, object] = {"test": settings.test, "validation": settings.validation}
    return [split for split, size in sizes.items() if size is not None]


def _refuse_explicit(requested: list[SplitName], splits: SplitNumbers) -> None:
    for split in requested:
        if np.any(splits == SPLITS.index(split)):
            raise UsageError(f"the source already has a split {split}", hint=f"omit --{split}")


def _group_hashes(images: pa.Table, hashes: Hashes, seed: int) -> Hashes:
    """Return the group hash of each image, or the key hash if the image has no group, (N,)."""
    groups = images["group"]
    if groups.null_count == len(groups):
        return hashes
    table = pa.table({"group": pc.coalesce(groups, images["key"])})
    return hash_keys((group for (group,) in iter_rows(table, "group")), seed)


def _refuse_empty(settings: Settings, splits: SplitNumbers, assigned: int) -> None:
    """Raise UsageError if a requested split, or train, has none of the `assigned` images."""
    counts = np.bincount(splits, minlength=len(SPLITS))
    if not len(splits):
        return
    for split in (*_requested(settings), "train"):
        if not counts[SPLITS.index(split)]:
            raise UsageError(
                f"the split {split} would be empty",
                got=pluralize(assigned, "image"),
                hint=_advise(settings, assigned),
            )


def _advise(settings: Settings, assigned: int) -> str:
    sizes = {"test": settings.test, "validation": settings.validation}
    flags = [f"--{split}-count {size}" for split, size in sizes.items() if isinstance(size, int)]
    if flags:
        return f"{' and '.join(flags)}: request fewer than {pluralize(assigned, 'image')}"
    if settings.group_by is not None:
        return "change the fractions: groups are never divided"
    return "change the fractions, or request exact counts: --test-count N, --validation-count N"
