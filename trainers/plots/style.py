"""Figures in one style, rendered to the bytes of PNG files."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, ParamSpec

from records.pictures.figures import encode_figure, figure_style

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.font_manager import FontProperties

_P = ParamSpec("_P")

_STYLE = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "savefig.dpi": 110,
}


def render_png(draw: Callable[_P, Figure]) -> Callable[_P, bytes]:
    """Return a function that returns the figure drawn by `draw` as the bytes of a PNG file.

    All figures have one style, independent of matplotlibrc. The returned function raises UsageError
    if matplotlib is not installed.
    """

    @wraps(draw)
    def draw_png(*args: _P.args, **kwargs: _P.kwargs) -> bytes:
        with figure_style(_STYLE):
            return encode_figure(draw(*args, **kwargs), bbox_inches="tight", pad_inches=0.15)

    return draw_png


def new_figure(width_inches: float, height_inches: float) -> Figure:
    """Return an empty figure."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width_inches, height_inches))


def new_font(path: str, points: float) -> FontProperties:
    """Return the font in a file, at the given size."""
    from matplotlib.font_manager import FontProperties

    return FontProperties(fname=path, size=points)
