"""Charts of two datasets: shares of classes and distributions of sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from records.pictures.figures import encode_figure, figure_style
from records.pictures.fonts import drawable, find_font
from records.text.formatting import abbreviate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from records.history.diff import DiffSummary
    from records.history.distributions import Images

_COLORS = ("#3566b0", "#c2503f")
_INK, _PALE_INK, _LINE = "#1c2026", "#707882", "#d9dce0"
_MAX_BARS = 40
_NAME_CHARACTERS = 28
_MAX_POINTS = 2000
_TITLES = {"width": "Width, px", "height": "Height, px", "bytes": "Stored size, bytes"}


def draw_diff(summary: DiffSummary, images: tuple[Images, Images]) -> bytes:
    """Return charts of two datasets as PNG.

    The left chart has the share of each class; if there are too many, of those whose shares differ
    most. The right charts have the cumulative distributions of width, height and stored size.

    Raises:
        UsageError: matplotlib is not installed.
    """
    with figure_style({}):
        return encode_figure(_draw(summary, images))


def _draw(summary: DiffSummary, images: tuple[Images, Images]) -> Figure:
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    shares = _choose_classes(summary)
    height_inches = max(6.4, 0.3 * len(shares) + 1.5)
    layout = ConstrainedLayoutEngine(w_pad=0.16, h_pad=0.14)
    figure = Figure(figsize=(12, height_inches), dpi=120, facecolor="white", layout=layout)
    classes, sizes = figure.subfigures(1, 2, width_ratios=[1.25, 1], squeeze=False)[0]
    _draw_classes(classes.subplots(), shares)
    classes.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=10)
    for axes, (name, title) in zip(sizes.subplots(3, 1), _TITLES.items(), strict=True):
        ks = getattr(summary, name).ks
        _draw_numbers(axes, [each.numbers[name] for each in images])
        _style(axes, title if ks is None else f"{title}    KS {ks:.3f}")
    return figure


def _choose_classes(summary: DiffSummary) -> list[tuple[str, float, float]]:
    """Return the shares of each class in both datasets, the largest difference first."""
    totals: dict[str, list[int]] = {}
    for counts in summary.classes.values():
        for name, pair in counts.items():
            total = totals.setdefault(name, [0, 0])
            totals[name] = [total[0] + pair[0], total[1] + pair[1]]
    sums = [max(1, sum(pair[side] for pair in totals.values())) for side in (0, 1)]
    shares = [(name, a / sums[0], b / sums[1]) for name, (a, b) in totals.items()]
    return sorted(shares, key=lambda each: (-abs(each[2] - each[1]), each[0]))[:_MAX_BARS]


def _draw_classes(axes: Axes, shares: list[tuple[str, float, float]]) -> None:
    from matplotlib.font_manager import FontProperties
    from matplotlib.ticker import PercentFormatter

    places = np.arange(len(shares))
    for side, label in enumerate("ab"):
        values = [each[1 + side] for each in shares]
        axes.barh(places + (side - 0.5) * 0.38, values, 0.36, color=_COLORS[side], label=label)
    font = find_font(name for name, *_ in shares)
    names = [abbreviate(drawable(name, font), _NAME_CHARACTERS) for name, *_ in shares]
    axes.set_yticks(places, names)
    for tick in axes.get_yticklabels():
        tick.set_fontproperties(FontProperties(fname=font, size=9))
        tick.set_parse_math(False)
    axes.set_ylim(len(shares) - 0.4, -0.6)
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    _style(axes, "Share of the records by class")


def _draw_numbers(axes: Axes, samples: list[Any]) -> None:
    from matplotlib.ticker import PercentFormatter

    for sample, color in zip(samples, _COLORS, strict=True):
        if len(sample):
            fractions = np.linspace(0, 1, min(len(sample), _MAX_POINTS) + 1)[1:]
            values = np.quantile(sample, fractions, method="inverted_cdf")
            axes.step(values, fractions, color=color, where="post", linewidth=1.6)
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.set_ylim(0, 1.02)


def _style(axes: Axes, title: str) -> None:
    axes.set_title(title, loc="left", fontsize=11, color=_INK, pad=8)
    axes.grid(color=_LINE, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(colors=_PALE_INK, labelsize=9, length=3)
    for side, spine in axes.spines.items():
        spine.set_visible(side in {"left", "bottom"})
        spine.set_color(_LINE)
