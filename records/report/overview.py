"""Overview of a dataset, and the provenance of its generation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

from records.format.metadata.description import Description
from records.generations import read_provenance
from records.report.parts import (
    Cell,
    Column,
    Facts,
    Finding,
    Note,
    Part,
    Section,
    Table,
    quote_name,
    show_name,
    show_number,
)
from records.text.escaping import escape_for_display
from records.text.formatting import abbreviate, format_bytes, pluralize

if TYPE_CHECKING:
    from records.dataset import Dataset
    from records.stats import Stats

_TEXT_CHARACTERS = 2000
_BY_CLASS = "Images by class and split"


def overview_section(dataset: Dataset, stats: Stats) -> Section:
    """Return the section with the numbers of a dataset, and with its description."""
    manifest = dataset.manifest
    given = manifest.description or Description()
    described = [
        (name, _show(value))
        for name, value in msgspec.structs.asdict(given).items()
        if value and name != "name"
    ]
    facts = [
        ("dataset", show_name(dataset.path)),
        ("images", f"{stats.records:,}"),
        ("classes", f"{len(dataset.labels):,}"),
        ("labels per image", "any number" if dataset.is_multi_label else "one"),
        ("size of all shards", format_bytes(stats.bytes)),
        ("generation", f"{manifest.generations[-1].number}"),
        *described,
    ]
    parts: tuple[Part, ...] = (Facts(tuple(facts)), _splits(stats), *_kept_columns(stats))
    return Section("overview", "Overview", parts)


def _splits(stats: Stats) -> Table:
    columns = (
        Column("split"),
        Column("images", "count", has_bars=True),
        Column("share", "percent"),
        Column("shards", "count"),
        Column("size", "bytes"),
        Column("imbalance", "number"),
    )
    rows = [
        (
            name,
            split.records,
            split.records / max(stats.records, 1),
            split.shards,
            split.bytes,
            split.imbalance,
        )
        for name, split in stats.splits.items()
    ]
    note = "Imbalance is the number of images of the largest class divided by that of the smallest."
    return Table("Splits", columns, rows, note)


def _kept_columns(stats: Stats) -> Iterator[Table]:
    """Yield the statistics of the columns that the dataset keeps, if there are some."""
    columns = (
        Column("column"),
        Column("type"),
        Column("images without a value", "count"),
        Column("different values", "count"),
        *(Column(name, "number") for name in ("minimum", "mean", "maximum")),
        Column("most frequent values"),
    )
    rows = [
        (
            show_name(name),
            each.type,
            each.missing,
            each.distinct,
            each.min,
            each.mean,
            each.max,
            ", ".join(f"{show_name(text)} ({n:,})" for text, n in each.most_frequent.items()),
        )
        for name, each in stats.columns.items()
    ]
    if rows:
        yield Table("Columns of the list that the dataset keeps", columns, rows)


def provenance_section(dataset: Dataset) -> Section:
    """Return the section about the run that published the generation."""
    number = dataset.manifest.generations[-1].number
    found = read_provenance(dataset.storage, number)
    if found is None:
        text = f"The provenance of generation {number} is unknown: provenance.json is missing."
        return Section("provenance", "Provenance", (Note(text),))
    facts = (
        ("command", show_name(found.command)),
        ("source", "none" if found.source is None else show_name(found.source)),
        ("message", "none" if found.message is None else _show(found.message)),
        ("started", f"{found.started:%Y-%m-%d %H:%M:%S} UTC"),
        ("published", f"{found.ended:%Y-%m-%d %H:%M:%S} UTC"),
        ("versions", ", ".join(f"{name} {version}" for name, version in found.versions.items())),
        ("Python", found.python),
        ("platform", found.platform),
    )
    options = Table(
        "Options",
        (Column("option"), Column("value")),
        [(show_name(name), _show(value)) for name, value in found.options.items()],
    )
    shown = Facts(tuple((name, _show(value)) for name, value in facts))
    return Section("provenance", "Provenance", (shown, *[options] * bool(options.rows)))


def _show(value: object) -> str:
    """Return a value of JSON for display; a text keeps its line breaks."""
    if isinstance(value, str):
        text = value
    elif isinstance(value, list | tuple):
        text = ", ".join(map(str, value))
    else:
        text = msgspec.json.encode(value).decode().strip('"')
    return "\n".join(map(escape_for_display, abbreviate(text, _TEXT_CHARACTERS).splitlines()))


def classes_section(stats: Stats) -> Section:
    """Return the section with the number of images of each class by split."""
    totals = stats.class_totals
    splits = list(stats.splits)
    columns = (
        Column("class"),
        Column("label", "count"),
        Column("images", "count", has_bars=True),
        *(Column(split, "count") for split in splits),
        Column("share", "percent"),
    )
    rows: list[tuple[Cell, ...]] = [
        (
            show_name(name),
            label,
            totals[label],
            *(stats.splits[split].class_records[label] for split in splits),
            totals[label] / max(stats.records, 1),
        )
        for label, name in enumerate(stats.labels)
    ]
    table = Table(_BY_CLASS, columns, rows)
    facts = Facts(tuple(_sizes(stats, totals)))
    parts: tuple[Part, ...] = (facts, table, *_several_labels(stats))
    return Section("classes", "Classes", parts, tuple(_findings(stats, totals)))


def _several_labels(stats: Stats) -> Iterator[Table]:
    """Yield the numbers of labels and their pairs, if an image has any number of labels."""
    if stats.labels_per_image:
        columns = (Column("labels", "count"), Column("images", "count", has_bars=True))
        yield Table("Labels per image", columns, [*stats.labels_per_image.items()])
    if stats.label_pairs:
        rows: list[tuple[Cell, ...]] = [
            (*(show_name(stats.labels[label]) for label in pair.labels), pair.records)
            for pair in stats.label_pairs
        ]
        names = (Column("class"), Column("other class"))
        yield Table(
            "Classes that occur together",
            (*names, Column("images", "count", has_bars=True)),
            rows,
        )


def _sizes(stats: Stats, totals: list[int]) -> Iterator[tuple[str, str]]:
    present = _present(totals)
    if not present:
        yield "images", "none"
        return
    for what, label in (("largest class", present[-1]), ("smallest class", present[0])):
        yield what, f"{quote_name(stats.labels[label])}: {pluralize(totals[label], 'image')}"
    yield "imbalance (largest / smallest)", show_number(stats.imbalance)
    empty = len(totals) - len(present)
    if empty:
        yield "classes without images", f"{empty:,}"


def _findings(stats: Stats, totals: list[int]) -> Iterator[Finding]:
    present = _present(totals)
    if len(present) > 1:
        smallest, largest = (
            f"{quote_name(stats.labels[label])} ({pluralize(totals[label], 'image')})"
            for label in (present[0], present[-1])
        )
        text = f"{show_number(stats.imbalance)}: largest class {largest}, smallest class {smallest}"
        yield Finding("Imbalance", text + _worst_split(stats), _BY_CLASS)
    empty = len(totals) - len(present)
    if empty:
        yield Finding("Classes without images", f"{empty:,}", _BY_CLASS)


def _worst_split(stats: Stats) -> str:
    """Return the largest imbalance of a split, if it is larger than that of the dataset."""
    found = {name: split.imbalance or 0 for name, split in stats.splits.items()}
    worst = max(found, key=found.__getitem__)
    if found[worst] <= (stats.imbalance or 0):
        return ""
    return f"; {show_number(found[worst])} in {worst}"


def _present(totals: list[int]) -> list[int]:
    """Return the labels of the classes with images, the smallest class first."""
    present = [label for label, total in enumerate(totals) if total]
    return sorted(present, key=totals.__getitem__)
