"""Duplicates, leaks and near-duplicates, side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from records.format.layout import SPLITS
from records.report.parts import (
    Cell,
    Column,
    Facts,
    Finding,
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
    from records.dedup.groups import NearPair
    from records.report.images import ImageSet
    from records.stats import Stats
    from records.stats.duplicates import DuplicateRecord

T = TypeVar("T")
_IDENTICAL, _NEAR = "Identical files", "Near-duplicates"
_MAX_GROUPS = 300
"""The maximum number of groups, and of pairs, that a table lists."""
_PICTURED_GROUPS = 60
_SHOWN_IN_GROUP = 6
_SMALL_PX = 64
"""Images with at most this side have too few details for a reliable comparison."""


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
    parts = (*_identical(dataset, stats, groups, images), *_near_parts(dataset, near, images))
    findings = tuple(_findings(stats, near))
    return Section("duplicates", "Duplicates and leaks", parts, findings)


def _findings(stats: Stats, near: NearDuplicates | None) -> Iterator[Finding]:
    counts = stats.duplicates
    groups = _describe_groups(counts.groups, counts.leak_groups, counts.conflict_groups)
    yield Finding("Duplicates", groups, _IDENTICAL)
    if near is None:
        yield Finding("Near-duplicates", "not searched")
        return
    text = _describe_groups(near.groups, near.leak_groups, near.conflict_groups)
    if near.groups:
        text += f"; {pluralize(len(near.pairs), 'pair')}" + _describe_small(stats)
    yield Finding("Near-duplicates", text, _NEAR)


def _describe_groups(groups: int, leaks: int, conflicts: int) -> str:
    if not groups:
        return "none"
    return (
        f"{pluralize(groups, 'group')}, {leaks:,} in more than one split (leaks),"
        f" {conflicts:,} with more than one label (conflicts)"
    )


def _describe_small(stats: Stats) -> str:
    """Return a warning if the images are so small that near ones are often different images."""
    width, height = stats.width_px, stats.height_px
    if width is None or height is None or max(width.median, height.median) > _SMALL_PX:
        return ""
    size = f"{width.median}×{height.median} px"
    return f". The images are small ({size}), so many of the pairs are different images"


class DuplicateKind(NamedTuple):
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
    ranked = choose_of_each_kind(groups, _kind)
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
        Column("file to keep, copies to exclude", "images", keeps_first=True),
        Column("kind", has_choices=True),
        Column("copies", "count"),
        Column("splits", has_choices=True),
        Column("classes"),
    )
    yield Table(_IDENTICAL, columns, rows, total=len(groups), thing="group")


def choose_of_each_kind(
    found: Sequence[T], kind_of: Callable[[T], DuplicateKind], most: int = _MAX_GROUPS
) -> list[T]:
    """Return the groups or pairs that a table lists: the worst kind first, some of each kind.

    If one kind is very frequent, the table still has the others.

    Args:
        found: the groups or pairs.
        kind_of: a function that returns the kind of one.
        most: the maximum number to return.
    """
    ranked = sorted(found, key=kind_of, reverse=True)
    share = most // max(1, len({*map(kind_of, ranked)}))
    counts: Counter[DuplicateKind] = Counter()
    beyond = []
    for each in ranked:
        counts[kind_of(each)] += 1
        beyond.append(counts[kind_of(each)] > share)
    # Stable sorts: first those within the shares, then the worst kind.
    chosen = sorted(range(len(ranked)), key=beyond.__getitem__)[:most]
    return [ranked[place] for place in sorted(chosen)]


def _kind_of_pair(pair: NearPair) -> DuplicateKind:
    return DuplicateKind(pair.is_leak, pair.kept.labels != pair.other.labels)


def _kind(group: Sequence[DuplicateRecord]) -> DuplicateKind:
    splits, labels = {it.split for it in group}, {it.labels for it in group}
    return DuplicateKind(len(splits) > 1, len(labels) > 1)


def _show_some(group: Sequence[DuplicateRecord]) -> list[DuplicateRecord]:
    """Return the first records of each split of a group, at most `_SHOWN_IN_GROUP`."""
    firsts: dict[str, DuplicateRecord] = {}
    for record in group:
        firsts.setdefault(record.split, record)
    rest = [record for record in group if record not in firsts.values()]
    return [*firsts.values(), *rest][:_SHOWN_IN_GROUP]


def _near_parts(dataset: Dataset, near: NearDuplicates | None, images: ImageSet) -> Iterator[Part]:
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
            ("pairs: one for each image to exclude", f"{len(near.pairs):,}"),
            ("near leaks: groups in more than one split", f"{near.leak_groups:,}"),
            ("near conflicts: groups with more than one label", f"{near.conflict_groups:,}"),
            ("not compared: nearly one colour", f"{near.featureless:,}"),
            ("not compared: cannot be decoded", f"{near.undecodable:,}"),
        )
    )
    if not near.pairs:
        return
    yield Note(
        "These commands list the keys of all images to exclude:",
        tuple(
            show_command("stats", dataset.path, "--keys", kind) for kind in ("near-leaks", "near")
        ),
    )
    rows: list[tuple[Cell, ...]] = []
    for pair in choose_of_each_kind(near.pairs, _kind_of_pair):
        both = (pair.kept, pair.other)
        pictures = None if len(rows) < _PICTURED_GROUPS else 0
        kind = _kind_of_pair(pair)
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
        Column("image to keep, image to exclude", "images", keeps_first=True),
        Column("kind", has_choices=True),
        Column("bits that differ", "count"),
        Column("splits", has_choices=True),
        Column("classes"),
    )
    note = (
        "Two images are near if few of the 144 bits of their perceptual hashes differ. Simple"
        " or small images, such as digits and drawings, have few details: many of their pairs are"
        " different images. Look at a pair before you exclude an image."
    )
    yield Table(_NEAR, columns, rows, note, total=len(near.pairs), thing="pair")


def _name_classes(dataset: Dataset, labels: set[int]) -> str:
    return ", ".join(show_name(dataset.labels[label]) for label in sorted(labels))
