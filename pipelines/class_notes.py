"""Notes of a conversion on its classes: empty, alike, absent from train."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from pipelines.run import Run
from records.format.label_map import describe_alike
from records.format.layout import SPLITS
from records.text.escaping import escape_for_display
from records.text.formatting import pluralize

_SHOWN_CLASSES = 5
_TRAIN = SPLITS.index("train")


def class_notes(run: Run) -> Iterator[str]:
    """Yield notes on classes that are alike, alone, empty, or absent from train.

    The notes count the images that the output already contains and the images of the plan.
    """
    labels = run.plan.labels
    yield from describe_alike(labels)
    if len(labels) == 1:
        yield (
            f"there is one class, {escape_for_display(labels[0])}: a model needs at least two "
            "classes to learn a difference"
        )
    counts = _count_images(run)
    empty = [labels[label] for label in np.flatnonzero(counts.sum(0) == 0)]
    yield from (
        f"class {escape_for_display(name)} has no images" for name in empty[:_SHOWN_CLASSES]
    )
    if len(empty) > _SHOWN_CLASSES:
        yield f"{pluralize(len(empty) - _SHOWN_CLASSES, 'more class')} without images"
    absent = (counts.sum(0) > 0) & (counts[_TRAIN] == 0)
    if absent.any() and counts[_TRAIN].any():
        yield _describe_absent([labels[label] for label in np.flatnonzero(absent)], run)


def _describe_absent(names: Sequence[str], run: Run) -> str:
    shown = ", ".join(map(escape_for_display, names[:_SHOWN_CLASSES]))
    more = f" and {len(names) - _SHOWN_CLASSES:,} more" * (len(names) > _SHOWN_CLASSES)
    note = f"{pluralize(len(names), 'class')} without images in train: {shown}{more}"
    if run.plan.settings.group_by is None:
        return note
    return f"{note}; all of their images are in groups that --group-by put into another split"


def _count_images(run: Run) -> NDArray[np.int64]:
    """Return the number of images of each class in each split, int64 (splits, classes)."""
    counts = np.zeros((len(SPLITS), len(run.plan.labels)), np.int64)
    for split, info in ({} if run.base is None else run.base.splits).items():
        counts[SPLITS.index(split), : len(info.class_records)] += info.class_records
    if run.plan.shards:
        # All shards of a plan share one table.
        labels = run.plan.shards[0].table["label"].to_numpy()
        for shard in run.plan.shards:
            found = np.bincount(labels[shard.rows], minlength=counts.shape[1])
            counts[SPLITS.index(shard.split)] += found
    return counts
