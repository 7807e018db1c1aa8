"""Duplicates, leaks and near-duplicates, side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from records.format.layout import SPLITS
from records.report.parts import (
    Cell,
    Column,
    Facts,
    Note,
    Part,
    Section,
    Table,
    show_command,
    show_name,
)
from records.text.formatting import pluralize

if TYPE_CHECKING:
    from records.dataset import Dataset
    from records.dedup import NearDuplicates
    from records.report.images import ImageSet
    from records.stats import Stats
    from records.stats.duplicates import DuplicateRecord

_MAX_GROUPS = 300
"""The maximum number of groups, and of pairs, that a table lists."""
_PICTURED_GROUPS = 60
_SHOWN_IN_GROUP = 6


def duplicates_section(
    dataset: Dataset,
    stats: Stats,
    groups: Sequence[Sequence[DuplicateRecord]],
    near: NearDuplicates | None,
    images: ImageSet,
) -> Section:
    """Return the section with the exact and the near duplicates.

    Args:
        dataset: an open dataset.
        stats: its statistics.
        groups: the groups of identical files, as `records.stats.find_groups` returns them.
        near: its near-duplicates; None if their hashes are not saved.
        images: the images of the page.
    """
    parts = (*_identical(dataset, stats, groups, images), *_near(dataset, near, images))
    return Section("duplicates", "Duplicates and leaks", parts)


class _Kind(NamedTuple):
    """What is wrong with duplicates: a leak is worse than a conflict, and both than neither."""

    is_leak: bool
    is_conflict: bool

    def describe(self, otherwise: str) -> str:
        """Return the words for it; `otherwise` if it is neither."""
        names = ("leak",) * self.is_leak + ("conflict",) * self.is_conflict
        return " and ".join(names) or otherwise


def _identical(
    dataset: Dataset,
    stats: Stats,
    groups: Sequence[Sequence[DuplicateRecord]],
    images: ImageSet,
) -> Iterator[Part]:
    counts = stats.duplicates
    yield Facts(
        (
            ("groups of identical files", f"{counts.groups:,}"),
            ("leaks: groups in more than one split", f"{counts.leak_groups:,}"),
            ("conflicts: groups with more than one label", f"{counts.conflict_groups:,}"),
        )
    )
    if not groups:
        return
    yield Note(
        "These commands list the keys of all images to exclude:",
        tuple(
            show_command("stats", dataset.path, "--keys", kind) for kind in ("leaks", "duplicates")
        ),
    )
    ranked = sorted(groups, key=_kind, reverse=True)[:_MAX_GROUPS]
    shown = [_show_some(group) for group in ranked]
    found = iter(images.find_rows([record.key for group in shown for record in group]))
    rows: list[tuple[Cell, ...]] = []
    for group, some in zip(ranked, shown, strict=True):
        numbers = [row for row in islice(found, len(some)) if row is not None]
        pictures = None if len(rows) < _PICTURED_GROUPS else 0
        rows.append(
            (
                images.add(numbers, pictures=pictures),
                _kind(group).describe("duplicate"),
                len(group),
                ", ".join(split for split in SPLITS if any(split == it.split for it in group)),
                _name_classes(dataset, {label for record in group for label in record.labels}),
            )
        )
    columns = (
        Column("images", "images"),
        Column("kind", has_choices=True),
        Column("copies", "count"),
        Column("splits", has_choices=True),
        Column("classes"),
    )
    yield Table("Identical files", columns, rows, _left_out(len(groups), "group"))


def _kind(group: Sequence[DuplicateRecord]) -> _Kind:
    splits, labels = {it.split for it in group}, {it.labels for it in group}
    return _Kind(len(splits) > 1, len(labels) > 1)


def _show_some(group: Sequence[DuplicateRecord]) -> list[DuplicateRecord]:
    """Return the first records of each split of a group, at most `_SHOWN_IN_GROUP`."""
    firsts: dict[str, DuplicateRecord] = {}
    for record in group:
        firsts.setdefault(record.split, record)
    rest = [record for record in group if record not in firsts.values()]
    return [*firsts.values(), *rest][:_SHOWN_IN_GROUP]


def _near(dataset: Dataset, near: NearDuplicates | None, images: ImageSet) -> Iterator[Part]:
    if near is None:
        yield Note(
            "Near-duplicates are not shown, because the perceptual hashes are not saved yet. The"
            " first command computes and saves them; then make the report again.",
            (
                show_command("stats", dataset.path, "--near"),
                show_command("report", dataset.path, "-o", "NEW.html"),
            ),
        )
        return
    yield Facts(
        (
            ("groups of near-duplicates", f"{near.groups:,}"),
            ("near leaks: groups in more than one split", f"{near.leak_groups:,}"),
            ("near conflicts: groups with more than one label", f"{near.conflict_groups:,}"),
            ("not compared: nearly one colour", f"{near.featureless:,}"),
            ("not compared: cannot be decoded", f"{near.undecodable:,}"),
        )
    )
    if not near.pairs:
        return
    rows: list[tuple[Cell, ...]] = []
    for pair in near.pairs[:_MAX_GROUPS]:
        both = (pair.kept, pair.other)
        pictures = None if len(rows) < _PICTURED_GROUPS else 0
        kind = _Kind(pair.is_leak, pair.kept.labels != pair.other.labels)
        rows.append(
            (
                images.add([image.row for image in both], pictures=pictures),
                kind.describe("near-duplicate"),
                pair.hamming_distance,
                ", ".join(dict.fromkeys(image.split for image in both)),
                _name_classes(dataset, {label for image in both for label in image.labels}),
            )
        )
    columns = (
        Column("image to keep, image to exclude", "images"),
        Column("kind", has_choices=True),
        Column("different bits", "count"),
        Column("splits", has_choices=True),
        Column("classes"),
    )
    yield Table("Near-duplicates", columns, rows, _left_out(len(near.pairs), "pair"))


def _name_classes(dataset: Dataset, labels: set[int]) -> str:
    return ", ".join(show_name(dataset.labels[label]) for label in sorted(labels))


def _left_out(total: int, thing: str) -> str:
    return f"{_MAX_GROUPS:,} of {pluralize(total, thing)}." if total > _MAX_GROUPS else ""
