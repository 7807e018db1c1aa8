"""What `inspect` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from records.layout import SPLITS
from records.reports.tables import align, count, show_bytes
from records.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from records.manifest import Adoption, Manifest
    from records.reports.describe import FileDescription
    from records.reports.feature_facts import FeatureFacts, Range

_SHOWN_LABELS = 12


def show_file(description: FileDescription) -> list[str]:
    """A file's features as lines of a table."""
    kinds = [
        f"{number:,} {kind}{'' if kind == 'bytes' or number == 1 else 's'}"
        for kind, number in description.payloads.items()
    ]
    compressed = f"{description.compression}, " if description.compression else ""
    lines = [f"{printable(description.name)}: {compressed}{show_bytes(description.size_bytes)}"]
    lines[0] += f", {_extent(description)}"
    if set(description.payloads) - {"Example"}:
        lines.append(f"  {', '.join(kinds)}")
    if description.features:
        head = ("feature", "kind", "values", "records", "content")
        rows = [head, *map(_feature_row, description.features)]
        lines += ["", *(f"  {line}" for line in align(rows, right="<<>><"))]
    if description.damage is not None:
        lines += ["", f"damaged: {description.damage}"]
    return lines


def _extent(description: FileDescription) -> str:
    if description.complete:
        return count(description.records, "record")
    if description.damage is not None:
        return f"{count(description.records, 'record')} before damage"
    return f"its first {count(description.records, 'record')} (--limit N for more)"


def _feature_row(feature: FeatureFacts) -> tuple[str, ...]:
    return (
        printable(feature.name),
        feature.kind,
        _range(feature.values),
        f"{feature.records:,}",
        _content(feature),
    )


def _content(feature: FeatureFacts) -> str:
    parts = []
    if feature.images and feature.width_px and feature.height_px:
        formats = ", ".join(f"{number:,} {kind}" for kind, number in feature.images.items())
        size = f"{_range(feature.width_px)} × {_range(feature.height_px)} px"
        parts.append(f"{formats}, {size}")
    if feature.size_bytes is not None and (feature.images or feature.size_bytes.max > _LONG_BYTES):
        parts.append(_range(feature.size_bytes, show_bytes))
    if feature.range is not None:
        parts.append(_range(feature.range))
    elif feature.examples:
        parts.append(", ".join(feature.examples))
    return ", ".join(parts)


_LONG_BYTES = 64


def _range(found: Range, show: Callable[[float], str] = lambda value: f"{value:,.6g}") -> str:
    low, high = show(found.min), show(found.max)
    return low if low == high else f"{low}–{high}"


def show_dataset(manifest: Manifest, path: str) -> list[str]:
    """A dataset's manifest in a few lines."""
    rows = [("labels", f"{len(manifest.labels):,}: {_labels(manifest.labels)}")]
    for name in SPLITS:
        if name in manifest.splits:
            facts = manifest.splits[name]
            shards = count(len(facts.shards), "shard")
            size = show_bytes(facts.bytes)
            rows.append((name, f"{count(facts.records, 'record')} in {shards}, {size}"))
    images = manifest.settings.images
    size = f"{images.resize[0]}×{images.resize[1]} px" if images.resize else "of their own size"
    channels = "grey" if images.channels == 1 else "RGB or grey"
    stored = "as jpeg or png" if images.store == "source" else f"as {images.store}"
    rows.append(("images", f"{stored}, {size}, {channels}, check {images.check}"))
    if manifest.adopted is not None:
        rows.append(("adopted", _show_adoption(manifest.adopted)))
    found = "files" if manifest.adopted is None else "records"
    for generation in manifest.generations:
        counts = generation.counts
        text = (
            f"{counts.found:,} {found} found = {counts.stored:,} stored"
            f" + {counts.rejected:,} rejected + {counts.skipped:,} skipped"
            f" + {counts.excluded:,} excluded"
        )
        rows.append((f"generation {generation.number}", text))
    title = f"{printable(path)}: a dataset, format version {manifest.format_version}"
    return [title, *(f"  {line}" for line in align(rows))]


def _show_adoption(adopted: Adoption) -> str:
    names = adopted.features
    parts = [f"image {printable(names.image)}"]
    if names.label is not None:
        parts.append(f"label {printable(names.label)} from {adopted.first_label}")
    parts += [
        f"{role} {printable(name)}"
        for role, name in (("text", names.text), ("key", names.key))
        if name is not None
    ]
    return ", ".join(parts)


def _labels(labels: tuple[str, ...]) -> str:
    shown = ", ".join(printable(label) for label in labels[:_SHOWN_LABELS])
    return shown + ", …" * (len(labels) > _SHOWN_LABELS)
