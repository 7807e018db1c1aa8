"""Text form of summaries and manifests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from records.format.layout import SPLITS
from records.text.escaping import escape_for_display
from records.text.formatting import align, format_bytes, pluralize

if TYPE_CHECKING:
    from collections.abc import Callable

    from records.format.manifest import ExternalFormat, Generation, Manifest
    from records.inspection.feature_stats import FeatureStats, Range
    from records.inspection.file_summary import FileSummary

_SHOWN_LABELS = 12
_SHOWN_COLUMNS = 12


def format_file(summary: FileSummary) -> list[str]:
    """Return the summary of a file as lines, with a table of the features."""
    kinds = [
        f"{number:,} {kind}{'' if kind == 'bytes' or number == 1 else 's'}"
        for kind, number in summary.payloads.items()
    ]
    compressed = f"{summary.compression}, " if summary.compression else ""
    lines = [f"{escape_for_display(summary.name)}: {compressed}{format_bytes(summary.size_bytes)}"]
    lines[0] += f", {_extent(summary)}"
    if set(summary.payloads) - {"Example"}:
        lines.append(f"  {', '.join(kinds)}")
    if summary.features:
        head = ("feature", "kind", "values", "records", "content")
        rows = [head, *map(_feature_row, summary.features)]
        lines += ["", *(f"  {line}" for line in align(rows, right="<<>><"))]
    if summary.damage is not None:
        lines += ["", f"damaged: {summary.damage}"]
    return lines


def _extent(summary: FileSummary) -> str:
    if summary.complete:
        return pluralize(summary.records, "record")
    if summary.damage is not None:
        return f"{pluralize(summary.records, 'record')} before damage"
    return f"first {pluralize(summary.records, 'record')} (--limit N for more)"


def _feature_row(feature: FeatureStats) -> tuple[str, ...]:
    return (
        escape_for_display(feature.name),
        feature.kind,
        _range(feature.values),
        f"{feature.records:,}",
        _content(feature),
    )


def _content(feature: FeatureStats) -> str:
    parts = []
    if feature.images and feature.width_px and feature.height_px:
        formats = ", ".join(f"{number:,} {kind}" for kind, number in feature.images.items())
        size = f"{_range(feature.width_px)} × {_range(feature.height_px)} px"
        parts.append(f"{formats}, {size}")
    if feature.size_bytes is not None and (feature.images or feature.size_bytes.max > _LONG_BYTES):
        parts.append(_range(feature.size_bytes, format_bytes))
    if feature.range is not None:
        parts.append(_range(feature.range))
    elif feature.examples:
        parts.append(", ".join(feature.examples))
    return ", ".join(parts)


_LONG_BYTES = 64


def _range(found: Range, show: Callable[[float], str] = lambda value: f"{value:,.6g}") -> str:
    low, high = show(found.min), show(found.max)
    return low if low == high else f"{low}–{high}"


def format_manifest(manifest: Manifest, path: str) -> list[str]:
    """Return a manifest as lines."""
    rows = [("labels", f"{len(manifest.labels):,}: {_labels(manifest.labels)}")]
    for name in SPLITS:
        if name in manifest.splits:
            facts = manifest.splits[name]
            shards = pluralize(len(facts.shards), "shard")
            size = format_bytes(facts.bytes)
            rows.append((name, f"{pluralize(facts.records, 'record')} in {shards}, {size}"))
    images = manifest.settings.images
    size = f"{images.resize[0]}×{images.resize[1]} px" if images.resize else "original size"
    channels = "grey" if images.channels == 1 else "RGB or grey"
    stored = "as jpeg or png" if images.store in {"source", "mixed"} else f"as {images.store}"
    if images.store == "mixed":
        stored = f"{images.raw_share:.0%} raw, the others {stored}"
    rows.append(("images", f"{stored}, {size}, {channels}, check {images.check}"))
    if manifest.settings.is_multi_label:
        rows.append(("task", "multi-label: any number of labels per image"))
    if columns := manifest.settings.columns:
        shown = [f"{escape_for_display(it.name)} ({it.type})" for it in columns[:_SHOWN_COLUMNS]]
        rows.append(("columns", ", ".join(shown) + ", …" * (len(columns) > len(shown))))
    if manifest.adopted is not None:
        rows.append(("adopted", _format_adoption(manifest.adopted)))
    found = "files" if manifest.adopted is None else "records"
    rows += [(f"generation {it.number}", _describe(it, found)) for it in manifest.generations]
    title = f"{escape_for_display(path)}: a dataset, format version {manifest.format_version}"
    return [title, *(f"  {line}" for line in align(rows))]


def _describe(generation: Generation, found: str) -> str:
    """Return the counts and the edits of a generation; `found` is the noun of its counts."""
    counts = generation.counts
    text = (
        f"{counts.found:,} {found} found = {counts.stored:,} stored"
        f" + {counts.rejected:,} rejected + {counts.skipped:,} skipped"
        f" + {counts.excluded:,} excluded"
    )
    edits = ((generation.removed, "removed"), (generation.relabelled, "relabelled"))
    text += "".join(f"; {number:,} {effect}" for number, effect in edits if number)
    for names in list(generation.renamed_classes.items())[:_SHOWN_LABELS]:
        old, new = map(escape_for_display, names)
        text += f"; class {old} renamed to {new}"
    return text


def _format_adoption(adopted: ExternalFormat) -> str:
    names = adopted.features
    parts = [f"image {escape_for_display(names.image)}"]
    if names.label is not None:
        parts.append(f"label {escape_for_display(names.label)} from {adopted.first_label}")
    parts += [
        f"{role} {escape_for_display(name)}"
        for role, name in (("text", names.text), ("key", names.key))
        if name is not None
    ]
    return ", ".join(parts)


def _labels(labels: tuple[str, ...]) -> str:
    shown = ", ".join(escape_for_display(label) for label in labels[:_SHOWN_LABELS])
    return shown + ", …" * (len(labels) > _SHOWN_LABELS)
