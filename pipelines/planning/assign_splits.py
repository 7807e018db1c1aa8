"""The images listed, divided among the splits: what the source says, else what their hashes say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipelines.planning.split_hash import (
    NO_HASHES,
    Bounds,
    Hashes,
    SplitNumbers,
    find_bounds,
    find_bounds_by_label,
    group_by_label,
    hash_keys,
    split_numbers,
    to_threshold,
)
from records.errors import UsageError
from records.format.layout import SPLITS, SplitName
from records.format.manifest import Settings, SplitThreshold
from records.runtime.row_table import iter_rows

_TRAIN = SPLITS.index("train")


class SplitAssignment(NamedTuple):
    """The split of every image, (N,), and the bounds between splits, none where none was asked."""

    splits: SplitNumbers
    cut_offs: tuple[SplitThreshold, ...]


def assign_splits(
    images: pa.Table,
    hashes: Hashes,
    settings: Settings,
    kept: tuple[SplitThreshold, ...] | None = None,
) -> SplitAssignment:
    """Decide which split every image is in.

    Args:
        images: as `SourceImages` keeps them.
        hashes: of their keys, (N,).
        settings: which splits are wanted, and by what.
        kept: the bounds of a dataset that these are added to: they hold, whatever comes of it.

    Raises:
        UsageError: a split that is asked for would be empty, or is in the source already.
    """
    splits = _explicit_splits(images["split"])
    asked = _requested(settings)
    if not asked:
        return SplitAssignment(splits, ())
    if kept is None:
        _refuse_stated(asked, splits)
    is_divided = splits == _TRAIN
    hashes = _hashes_dividing(images, hashes, settings.seed)[is_divided]
    labels = images["label"].to_numpy()[is_divided]
    if kept is None:
        bounds = _find_bounds(labels, hashes, settings)
    else:
        bounds = _extend(kept, labels, settings)
    splits[is_divided] = _split(labels, hashes, bounds, settings)
    if kept is None:
        _refuse_empty(asked, splits)
    return SplitAssignment(
        splits, tuple(to_threshold(label, pair) for label, pair in bounds.items())
    )


def _explicit_splits(stated: pa.ChunkedArray) -> SplitNumbers:
    """What the source says, `train` where it says nothing."""
    if stated.null_count == len(stated):
        return np.full(len(stated), _TRAIN, np.int8)
    numbers = pc.index_in(stated, pa.array(SPLITS)).fill_null(_TRAIN)
    return np.asarray(numbers, np.int8)


def _split(
    labels: NDArray[np.int32],
    hashes: Hashes,
    bounds: Mapping[int | None, Bounds],
    settings: Settings,
) -> SplitNumbers:
    if not settings.stratify:
        return split_numbers(hashes, bounds[None])
    splits = np.empty(len(hashes), np.int8)
    for label, rows in group_by_label(labels):
        splits[rows] = split_numbers(hashes[rows], bounds[label])
    return splits


def _find_bounds(
    labels: NDArray[np.int32], hashes: Hashes, settings: Settings
) -> dict[int | None, Bounds]:
    if settings.stratify:
        by_label = find_bounds_by_label(labels, hashes, settings.test, settings.validation)
        return dict(by_label.items())
    return {None: find_bounds(hashes, settings.test, settings.validation)}


def _extend(
    kept: tuple[SplitThreshold, ...], labels: NDArray[np.int32], settings: Settings
) -> dict[int | None, Bounds]:
    """The bounds there are, and those of classes that are new: by fractions, which need no others.

    Of classes that came later than a count was asked for, all images are for training.
    """
    bounds = {cut.label: Bounds(int(cut.test, 16), int(cut.validation, 16)) for cut in kept}
    if settings.stratify:
        test, validation = (
            amount if isinstance(amount, float) else None
            for amount in (settings.test, settings.validation)
        )
        for label in np.unique(labels).tolist():
            bounds.setdefault(label, find_bounds(NO_HASHES, test, validation))
    return bounds


def _requested(settings: Settings) -> list[SplitName]:
    amounts: dict[SplitName, object] = {"test": settings.test, "validation": settings.validation}
    return [split for split, amount in amounts.items() if amount is not None]


def _refuse_stated(asked: list[SplitName], splits: SplitNumbers) -> None:
    for split in asked:
        if np.any(splits == SPLITS.index(split)):
            raise UsageError(
                f"the source has a split {split} already", hint=f"leave --{split} away"
            )


def _hashes_dividing(images: pa.Table, hashes: Hashes, seed: int) -> Hashes:
    """Of the groups, where an image has one: what is in a group stays together."""
    groups = images["group"]
    if groups.null_count == len(groups):
        return hashes
    dividing = pa.table({"by": pc.coalesce(groups, images["key"])})
    return hash_keys((by for (by,) in iter_rows(dividing, "by")), seed)


def _refuse_empty(asked: list[SplitName], splits: SplitNumbers) -> None:
    counts = np.bincount(splits, minlength=len(SPLITS))
    if not len(splits):
        return
    for split in (*asked, "train"):
        if not counts[SPLITS.index(split)]:
            raise UsageError(
                f"the split {split} would be empty",
                got=f"{len(splits)} images",
                hint="ask for more, or for exact numbers: --test-count N, --validation-count N "
                "(not with groups)",
            )
