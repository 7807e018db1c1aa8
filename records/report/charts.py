"""Charts of a report: SVG, and a table of the values.

matplotlib draws the charts. Their colours are then replaced by the variables of the style sheet, so
that a chart follows the dark mode. No text in a chart comes from a dataset.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from records.pictures.figures import encode_svg, figure_style
from records.report.parts import Cell, Chart, Column, Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

_INK, _PALE, _GRID = "#1c2026", "#707882", "#d9dce0"
SERIES = ("#3566b0", "#c2503f", "#2f8f5b")
"""The colours of the series of a chart."""
_VARIABLES = {
    _INK: "var(--ink)",
    _PALE: "var(--pale)",
    _GRID: "var(--line)",
    **{color: f"var(--series-{number})" for number, color in enumerate(SERIES, 1)},
}
_INCHES = (6.4, 2.8)
_BINS = 40
_MOST_POINTS = 2000
_STYLE = {
    "svg.fonttype": "none",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": _GRID,
    "axes.labelcolor": _PALE,
    "axes.labelsize": 9,
    "xtick.color": _PALE,
    "ytick.color": _PALE,
    "text.color": _INK,
    "grid.color": _GRID,
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "legend.fontsize": 8,
}
# Several charts are in one page, so the ids of matplotlib would not be unique.
_IDS = re.compile(
    r' id="(?:figure|axes|patch|text|matplotlib\.axis|xtick|ytick|line2d|PathCollection|legend)'
    r'_\d+"'
)
_HEAD = re.compile(r"<metadata>.*?</metadata>|<style.*?</style>", re.DOTALL)


def draw_chart(
    title: str,
    table: Table,
    draw: Callable[[Axes], None],
    *,
    x: str,
    y: str,
    inches: tuple[float, float] = _INCHES,
) -> Chart:
    """Return a chart.

    Args:
        title: the title, which is also the name of the picture for screen readers.
        table: the values.
        draw: a function that draws the values.
        x: the label of the horizontal axis.
        y: the label of the vertical axis.
        inches: the width and the height.

    Raises:
        UsageError: matplotlib is not installed.
    """
    with figure_style({**_STYLE, "svg.hashsalt": title}):
        from matplotlib.figure import Figure

        figure = Figure(figsize=inches, layout="constrained")
        axes = figure.subplots()
        axes.grid(alpha=1)
        axes.set_axisbelow(True)
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        draw(axes)
        svg = encode_svg(figure)
    return Chart(title, _adapt(svg, title), table)


def _adapt(svg: str, title: str) -> str:
    """Return SVG of matplotlib as an element of a page."""
    svg = _IDS.sub("", _HEAD.sub("", svg[svg.index("<svg") :]))
    for color, variable in _VARIABLES.items():
        svg = svg.replace(color, variable)
    return svg.replace("<svg ", f'<svg role="img" aria-label="{html.escape(title)}" ', 1)


def draw_histogram(
    title: str,
    values: NDArray[Any],
    *,
    x: str,
    edges: Sequence[float] | None = None,
    is_log: bool = False,
    show: Callable[[float], str] = "{:,.4g}".format,
) -> Chart | None:
    """Return a histogram; None without finite values.

    Args:
        title: the title.
        values: the values, (N,).
        x: the label of the horizontal axis.
        edges: the edges of the bins; None if they follow from the values.
        is_log: whether the axis is logarithmic; all values are then above 0.
        show: a function that returns a value as text.
    """
    values = values[np.isfinite(values)]
    if not len(values):
        return None
    if edges is None:
        edges = _bin_edges(float(values.min()), float(values.max()), is_log=is_log)
    counts, found = np.histogram(values, edges)
    bins = list(zip(found[:-1].tolist(), found[1:].tolist(), counts.tolist(), strict=True))
    rows = [(f"{show(low)} to {show(high)}", count) for low, high, count in bins if count]

    def draw(axes: Axes) -> None:
        widths = np.diff(found)
        axes.bar(found[:-1], counts, widths, align="edge", color=SERIES[0], linewidth=0)
        if is_log:
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(_log_locator(float(found[0]), float(found[-1])))
            axes.minorticks_off()
        axes.xaxis.set_major_formatter(lambda value, _place: show(value))
        axes.yaxis.set_major_locator(_whole_numbers())
        axes.yaxis.set_major_formatter(_show_count)

    table = Table(title, (Column(x), Column("images", "count", has_bars=True)), rows)
    return draw_chart(title, table, draw, x=x, y="images")


def _bin_edges(low: float, high: float, *, is_log: bool) -> Sequence[float]:
    edges: list[float]
    if is_log:
        edges = np.geomspace(low * 0.999, high * 1.001, _BINS + 1).tolist()
    elif low == high:
        edges = [low - 0.5, low + 0.5]
    else:
        edges = np.linspace(low, high, _BINS + 1).tolist()
    return edges


def draw_points(
    title: str,
    points: NDArray[Any],
    *,
    x: str,
    y: str,
    weights: NDArray[Any] | None = None,
    diagonal: bool = False,
) -> Chart:
    """Return a scatter plot.

    Args:
        title: the title.
        points: the points, (N, 2); at least one.
        x: the label of the horizontal axis.
        y: the label of the vertical axis.
        weights: the number of images at each point, (N,); None for one each. The points with the
            most images are shown.
        diagonal: whether to draw the line of equal values.
    """
    images = np.ones(len(points), np.int64) if weights is None else weights
    order = np.argsort(-images, kind="stable")[:_MOST_POINTS]
    shown, images = points[order], images[order]
    rows = [(*point, count) for point, count in zip(shown.tolist(), images.tolist(), strict=True)]

    def draw(axes: Axes) -> None:
        areas = 10 + 300 * images / images.sum()
        axes.scatter(shown[:, 0], shown[:, 1], areas, color=SERIES[0], alpha=0.45, linewidths=0)
        if diagonal:
            ends = float(shown.min()), float(shown.max())
            axes.plot(ends, ends, color=_PALE, linestyle="--", linewidth=1)
        elif shown.min() >= 0:
            axes.set_xlim(0, float(shown[:, 0].max()) * 1.08)
            axes.set_ylim(0, float(shown[:, 1].max()) * 1.12)

    columns = (Column(x, "number"), Column(y, "number"), Column("images", "count"))
    table = Table(title, columns, rows, total=len(points), thing="point")
    return draw_chart(title, table, draw, x=x, y=y, inches=(6.4, 4.2))


def draw_lines(
    title: str,
    numbers: Sequence[float],
    series: Mapping[str, Sequence[float | None]],
    *,
    x: str,
    y: str,
    x_kind: str = "number",
    is_share: bool = False,
    diagonal: bool = False,
) -> Chart:
    """Return a line for each series.

    Args:
        title: the title.
        numbers: the horizontal values, (N,).
        series: the vertical values of at most three series by their names, (N,) each; None is a
            gap.
        x: the label of the horizontal axis.
        y: the label of the vertical axis.
        x_kind: the kind of the column of the horizontal values: `number`, `count` or `percent`.
        is_share: whether the vertical values are from 0 to 1.
        diagonal: whether to draw the line of equal values.
    """

    def draw(axes: Axes) -> None:
        marker = "o" if len(numbers) <= 30 else ""
        for color, (name, values) in zip(SERIES, series.items(), strict=False):
            drawn = [np.nan if value is None else value for value in values]
            axes.plot(numbers, drawn, color=color, label=name, marker=marker, markersize=3)
        if is_share:
            axes.set_ylim(-0.02, 1.02)
        if diagonal:
            axes.plot((0, 1), (0, 1), color=_PALE, linestyle="--", linewidth=1)
        if x_kind == "count":
            axes.xaxis.set_major_locator(_whole_numbers())
            axes.set_xlim(min(numbers) - 0.5, max(numbers) + 0.5)
        if len(series) > 1:
            axes.legend(loc="best")

    kind: Any = "percent" if is_share else "number"
    first: Any = x_kind
    columns = (Column(x, first), *(Column(name, kind) for name in series))
    rows: list[tuple[Cell, ...]] = list(zip(numbers, *series.values(), strict=True))
    return draw_chart(title, Table(title, columns, rows), draw, x=x, y=y)


def _whole_numbers() -> Any:
    from matplotlib.ticker import MaxNLocator

    # Of a single epoch, the default of two ticks would be fractions.
    return MaxNLocator(6, integer=True, min_n_ticks=1)


def _log_locator(low: float, high: float) -> Any:
    from matplotlib.ticker import LogLocator

    return LogLocator(subs=(1, 2, 5) if high < 50 * low else (1,))


def _show_count(value: float, _place: float) -> str:
    return f"{value:,.0f}"
