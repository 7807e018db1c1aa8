"""Sizes, formats and changes of images, and samples of classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from records.report.charts import draw_histogram, draw_points
from records.report.parts import Chart, Column, Facts, Gallery, Note, Part, Section, Table
from records.report.sample import sample_classes
from records.text.formatting import format_bytes, pluralize

if TYPE_CHECKING:
    import pyarrow as pa

    from records.report.images import ImageSet
    from records.stats import Stats


def samples_section(rows: pa.Table, images: ImageSet) -> Section:
    """Return the section with some images of each class."""
    numbers = images.add(sample_classes(rows))
    text = (
        f"{pluralize(len(numbers), 'image')} of {len(rows):,}: a random sample of each class, which"
        " is the same in every report of the dataset. Click an image to enlarge it; select images"
        " to save their keys."
    )
    gallery = Gallery("Samples of the classes", numbers)
    return Section("samples", "Samples", (Note(text), gallery))


def sizes_section(stats: Stats, rows: pa.Table) -> Section:
    """Return the section with the sizes, the formats and the changes of the images."""
    formats, changes = (
        Table(
            title,
            (Column(title.lower()), Column("images", "count", has_bars=True)),
            list(found.items()),
        )
        for title, found in (("Stored format", stats.formats), ("Change", stats.changes))
    )
    if not len(rows):
        return Section("sizes", "Sizes and formats", (Note("The dataset has no images."),))
    widths, heights = (rows[name].to_numpy() for name in ("width", "height"))
    charts = (
        _draw_sizes(rows),
        draw_histogram("Aspect ratio", widths / np.maximum(heights, 1), x="width / height"),
        draw_histogram(
            "Stored size",
            np.maximum(rows["stored_bytes"].to_numpy(), 1),
            x="stored size",
            is_log=True,
            show=format_bytes,
        ),
    )
    drawn = [chart for chart in charts if chart is not None]
    parts: tuple[Part, ...] = (_facts(stats), *drawn, formats, changes)
    return Section("sizes", "Sizes and formats", parts)


def _facts(stats: Stats) -> Facts:
    found = (
        ("width", stats.width_px, "{:,} px".format),
        ("height", stats.height_px, "{:,} px".format),
        ("stored size", stats.image_bytes, format_bytes),
    )
    return Facts(
        tuple(
            (name, f"{show(each.min)} to {show(each.max)}, median {show(each.median)}")
            for name, each, show in found
            if each is not None
        )
    )


def _draw_sizes(rows: pa.Table) -> Chart:
    sizes = rows.group_by(["width", "height"]).aggregate([([], "count_all")])
    points = np.column_stack([sizes["width"].to_numpy(), sizes["height"].to_numpy()])
    return draw_points(
        "Width and height",
        points,
        x="width, px",
        y="height, px",
        weights=sizes["count_all"].to_numpy(),
    )
