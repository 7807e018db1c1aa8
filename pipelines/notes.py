"""Notes of a conversion on its classes and groups."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipelines.run import Run
from records.format.index import Reject, flat_labels
from records.format.label_map import describe_alike
from records.format.layout import SPLITS
from records.images.formats import NEEDS_HEIF
from records.runtime.extras import install_command
from records.runtime.row_table import from_numbers
from records.text.escaping import escape_for_display
from records.text.formatting import pluralize
from records.text.keys import key_to_text

_SHOWN_CLASSES = 5
_TRAIN = SPLITS.index("train")


def class_notes(run: Run) -> Iterator[str]:
    """Yield notes on classes that are alike, alone, empty, or absent from train.

    The notes count the images that the output already contains and the images of the plan.
    """
    labels = run.plan.labels
    yield from describe_alike(labels)
    is_target = any(column.type != "string" for column in run.plan.settings.columns)
    if len(labels) == 1 and not is_target:
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


def reject_notes(stored: Mapping[str, int], rejects: Sequence[Reject]) -> Iterator[str]:
    """Yield notes on classes of which more than half of the images were rejected.

    Args:
        stored: the number of stored images of each class of the run.
        rejects: the rejects of the run.
    """
    reasons: dict[str, Counter[str]] = {}
    for reject in rejects:
        own = reject.classes if reject.class_name is None else (reject.class_name,)
        for name in own:
            reasons.setdefault(name, Counter())[reject.reason] += 1
    lost = [name for name, found in reasons.items() if found.total() > stored.get(name, 0)]
    for name in sorted(lost, key=lambda name: (stored.get(name, 0), name))[:_SHOWN_CLASSES]:
        found = reasons[name]
        images = pluralize(found.total() + stored.get(name, 0), "image")
        listed = ", ".join(f"{count:,} {reason}" for reason, count in found.most_common())
        yield (
            f"class {escape_for_display(name)}: {found.total():,} of {images} rejected ({listed})"
        )
    if len(lost) > _SHOWN_CLASSES:
        more = pluralize(len(lost) - _SHOWN_CLASSES, "more class")
        yield f"{more} of which more than half of the images were rejected"
    heif = sum(NEEDS_HEIF in reject.detail for reject in rejects)
    if heif:
        command = install_command("heif")
        yield f"{pluralize(heif, 'HEIC image')} rejected; to read HEIC: {command}"


def group_notes(run: Run) -> Iterator[str]:
    """Yield a note if the source specifies different splits for images of the same group."""
    shards = run.plan.shards
    if not shards or (groups := shards[0].table["group"]).null_count == len(groups):
        return
    splits = np.zeros(len(groups), np.int8)
    for shard in shards:  # all shards of a plan share one table
        splits[shard.rows] = SPLITS.index(shard.split)
    images = pa.table({"group": groups, "split": splits}).drop_null()
    found = images.group_by("group").aggregate([("split", "min"), ("split", "max")])
    divided = found.filter(pc.not_equal(found["split_min"], found["split_max"]))
    if len(divided):
        first = escape_for_display(key_to_text(pc.min(divided["group"]).as_py()))
        yield (
            f"{pluralize(len(divided), 'group')} divided among splits, for example {first}: "
            "the source specifies the splits of these images"
        )


def _describe_absent(names: Sequence[str], run: Run) -> str:
    shown = ", ".join(map(escape_for_display, names[:_SHOWN_CLASSES]))
    more = f" and {len(names) - _SHOWN_CLASSES:,} more" * (len(names) > _SHOWN_CLASSES)
    note = f"{pluralize(len(names), 'class')} without images in train: {shown}{more}"
    if run.plan.settings.group_by is None:
        return note
    return f"{note}; all of their images are in groups that --group-by put into another split"


def _count_images(run: Run) -> NDArray[np.int64]:
    """Return the number of images of each class in each split, int64 (splits, classes)."""
    plan = run.plan
    counts = np.zeros((len(SPLITS), len(plan.labels)), np.int64)
    for split, info in ({} if run.base is None else run.base.splits).items():
        stored = counts[SPLITS.index(split)]
        stored[: len(info.class_records)] += info.class_records
        for shard in info.shards:
            if (replaced := plan.replaced.get(shard.name)) is not None:
                stored[list(replaced.class_records)] -= list(replaced.class_records.values())
    names = ["labels" if plan.settings.is_multi_label else "label"]
    for planned in (*plan.copies, *plan.shards):  # of each kind, all shards share one table
        labels = flat_labels(planned.table.select(names).take(from_numbers(planned.rows)))
        counts[SPLITS.index(planned.split)] += np.bincount(labels, minlength=counts.shape[1])
    return counts
