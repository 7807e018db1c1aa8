"""The images listed, divided among the splits: what the source says, else what their hashes say."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.packed_rows import rows_of
from pipelines.splits import (
    Bounds,
    Hashes,
    SplitNumbers,
    find_bounds,
    find_bounds_by_label,
    group_by_label,
    hash_keys,
    split_numbers,
    to_cut_off,
)
from records.errors import UsageError
from records.layout import SPLITS, Split
from records.manifest import CutOff, Settings

_TRAIN = SPLITS.index("train")


class Division(NamedTuple):
    """The split of every image, (N,), and the bounds between splits, none where none was asked."""

    splits: SplitNumbers
    cut_offs: tuple[CutOff, ...]


def divide_images(images: pa.Table, hashes: Hashes, settings: Settings) -> Division:
    """Decide which split every image is in.

    Args:
        images: as `SourceImages` keeps them.
        hashes: of their keys, (N,).
        settings: which splits are wanted, and by what.

    Raises:
        UsageError: a split that is asked for would be empty, or is in the source already.
    """
    stated = pc.index_in(images["split"], pa.array(SPLITS))
    splits = stated.fill_null(_TRAIN).to_numpy().astype(np.int8)
    asked = _asked(settings)
    if not asked:
        return Division(splits, ())
    _refuse_stated(asked, splits)
    divided = np.flatnonzero(splits == _TRAIN)
    hashes = _hashes_dividing(images, hashes, settings.seed)[divided]
    labels = images["label"].to_numpy()[divided]
    if settings.stratify:
        by_label = find_bounds_by_label(labels, hashes, settings.test, settings.validation)
        for label, rows in group_by_label(labels):
            splits[divided[rows]] = split_numbers(hashes[rows], by_label[label])
        bounds: dict[int | None, Bounds] = dict(by_label.items())
    else:
        bounds = {None: find_bounds(hashes, settings.test, settings.validation)}
        splits[divided] = split_numbers(hashes, bounds[None])
    _refuse_empty(asked, splits)
    return Division(splits, tuple(to_cut_off(label, pair) for label, pair in bounds.items()))


def _asked(settings: Settings) -> list[Split]:
    amounts: dict[Split, object] = {"test": settings.test, "validation": settings.validation}
    return [split for split, amount in amounts.items() if amount is not None]


def _refuse_stated(asked: list[Split], splits: SplitNumbers) -> None:
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
    return hash_keys((by for (by,) in rows_of(dividing, "by")), seed)


def _refuse_empty(asked: list[Split], splits: SplitNumbers) -> None:
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
