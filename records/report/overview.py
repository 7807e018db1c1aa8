"""Overview of a dataset, and the provenance of its generation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

from records.format.metadata.description import Description
from records.generations import read_provenance
from records.report.parts import Cell, Column, Facts, Note, Section, Table, show_name, show_number
from records.text.escaping import escape_for_display
from records.text.formatting import abbreviate, format_bytes, pluralize

if TYPE_CHECKING:
    from records.dataset import Dataset
    from records.stats import Stats

_TEXT_CHARACTERS = 2000


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
    return Section("overview", "Overview", (Facts(tuple(facts)), _splits(stats)))


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
    table = Table("Images by class and split", columns, rows)
    return Section("classes", "Classes", (Facts(tuple(_imbalance(stats, totals))), table))


def _imbalance(stats: Stats, totals: list[int]) -> Iterator[tuple[str, str]]:
    present = [label for label, total in enumerate(totals) if total]
    if not present:
        yield "images", "none"
        return
    for what, label in (
        ("largest class", max(present, key=totals.__getitem__)),
        ("smallest class", min(present, key=totals.__getitem__)),
    ):
        yield what, f"{show_name(stats.labels[label])}: {pluralize(totals[label], 'image')}"
    yield "imbalance (largest / smallest)", show_number(stats.imbalance)
    empty = len(totals) - len(present)
    if empty:
        yield "classes without images", f"{empty:,}"
