"""Charts of a dataset: records by class and split, image sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from records.pictures.figures import encode_figure, figure_style
from records.pictures.fonts import drawable, find_font
from records.text.formatting import format_bytes

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from records.stats.counts import Stats

_MAX_BARS = 50
_SHOWN_AT_EACH_END = 20
_COLORS = {"train": "#3566b0", "validation": "#e0a030", "test": "#c2503f"}
_INK, _PALE_INK, _LINE = "#1c2026", "#707882", "#d9dce0"
_NAME_CHARACTERS = 28


def draw_stats(stats: Stats, rows: pa.Table) -> bytes:
    """Return charts of the statistics of a dataset as PNG.

    Args:
        stats: the statistics.
        rows: the index rows, with the columns `width`, `height` and `stored_bytes`.

    Raises:
        UsageError: matplotlib is not installed.
    """
    with figure_style({}):
        return encode_figure(_draw(stats, rows))


def _draw(stats: Stats, rows: pa.Table) -> Figure:
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    bars = _choose_bars(stats)
    height_inches = max(5.2, 0.235 * len(bars) + 1.5)
    layout = ConstrainedLayoutEngine(w_pad=0.16, h_pad=0.14)
    figure = Figure(figsize=(12, height_inches), dpi=120, facecolor="white", layout=layout)
    classes, sizes = figure.subfigures(1, 2, width_ratios=[1.25, 1], squeeze=False)[0]
    _draw_classes(classes.subplots(), stats, bars)
    classes.legend(
        loc="outside lower center", ncols=3, frameon=False, fontsize=10, handlelength=1.1
    )
    upper, lower = sizes.subplots(2, 1, height_ratios=[1.5, 1])
    _draw_sizes(upper, rows)
    _draw_bytes(lower, rows)
    return figure


class _Bar(NamedTuple):
    """The bar of a class; a label of None is the gap that stands for the omitted classes."""

    label: int | None
    text: str


def _choose_bars(stats: Stats) -> list[_Bar]:
    """Return a bar for each class, by label.

    If there are too many classes, return bars for the largest and the smallest, by size.
    """
    bars = [_Bar(label, name) for label, name in enumerate(stats.labels)]
    if len(bars) <= _MAX_BARS:
        return bars
    totals = stats.class_totals
    bars.sort(key=lambda bar: -totals[bar.label or 0])
    omitted = len(bars) - 2 * _SHOWN_AT_EACH_END
    gap = _Bar(None, f"… {omitted:,} more …")
    return [*bars[:_SHOWN_AT_EACH_END], gap, *bars[-_SHOWN_AT_EACH_END:]]


def _draw_classes(axes: Axes, stats: Stats, bars: list[_Bar]) -> None:
    from matplotlib.font_manager import FontProperties
    from matplotlib.ticker import MaxNLocator

    places = np.arange(len(bars))
    ends = np.zeros(len(bars))
    thickness = min(0.72, 0.12 + 0.06 * len(bars))
    for split, facts in stats.splits.items():
        counts = np.array([0 if b.label is None else facts.class_records[b.label] for b in bars])
        label = f"{split}  {facts.records:,}"
        axes.barh(places, counts, thickness, left=ends, color=_COLORS[split], label=label)
        ends += counts
    for place, (end, bar) in enumerate(zip(ends.tolist(), bars, strict=True)):
        if bar.label is not None:
            text = f" {end:,.0f}"
            axes.text(end, place, text, va="center", fontsize=8, color=_PALE_INK)
    font = find_font(bar.text for bar in bars)
    axes.set_yticks(places, [_cut(drawable(bar.text, font)) for bar in bars])
    for tick in axes.get_yticklabels():
        tick.set_fontproperties(FontProperties(fname=font, size=9))
        tick.set_parse_math(False)
    axes.set_ylim(len(bars) - 0.4, -0.6)
    axes.margins(x=0.09)
    _style(axes, "Images by class", grid="x")
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.xaxis.set_major_formatter(_count)


def _draw_sizes(axes: Axes, rows: pa.Table) -> None:
    """Draw one dot per image size; its area shows the share of the images that have this size."""
    sizes = rows.group_by(["width", "height"]).aggregate([([], "count_all")])
    widths, heights, counts = (sizes[name].to_numpy() for name in ("width", "height", "count_all"))
    areas = 14 + 500 * counts / max(1, counts.sum())
    axes.scatter(widths, heights, areas, color=_COLORS["train"], alpha=0.45, linewidths=0)
    _style(axes, "Width and height, px", grid="both")
    most_width, most_height = max(widths, default=1), max(heights, default=1)
    axes.set_xlim(0, most_width * 1.08)
    axes.set_ylim(0, most_height * 1.12)
    if len(sizes) == 1:
        text = f"all {widths[0]}×{heights[0]}"
        place, aside = (widths[0], heights[0]), (-14, -16)
        axes.annotate(text, place, aside, textcoords="offset points", ha="right", color=_PALE_INK)


def _draw_bytes(axes: Axes, rows: pa.Table) -> None:
    """Draw a histogram of the stored sizes, on a logarithmic axis."""
    from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

    sizes = rows["stored_bytes"].to_numpy()
    low, high = sizes.min(initial=1 << 40), sizes.max(initial=2)
    bins = np.geomspace(max(1, low) * 0.999, high * 1.001, 41)
    axes.hist(sizes, bins.tolist(), color=_COLORS["train"], alpha=0.85)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: format_bytes(value))
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 50 * low else (1,)))
    axes.xaxis.set_minor_locator(NullLocator())
    _style(axes, "Images by stored size", grid="y")
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.yaxis.set_major_formatter(_count)


def _style(axes: Axes, title: str, *, grid: Literal["x", "y", "both"]) -> None:
    axes.set_title(title, loc="left", fontsize=11, color=_INK, pad=8)
    axes.grid(axis=grid, color=_LINE, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(colors=_PALE_INK, labelsize=9, length=3)
    for side, spine in axes.spines.items():
        spine.set_visible(side in {"left", "bottom"})
        spine.set_color(_LINE)


def _count(value: float, _place: float) -> str:
    return f"{value:,.0f}"


def _cut(text: str) -> str:
    return text if len(text) <= _NAME_CHARACTERS else text[: _NAME_CHARACTERS - 1] + "…"
