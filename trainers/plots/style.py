"""Figures in one style, rendered to the bytes of PNG files."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, ParamSpec

from records.runtime.extras import require_extra

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.font_manager import FontProperties

_P = ParamSpec("_P")

_STYLE = {
    # A class name such as `$x_{ b$` must not be parsed as math.
    "text.parse_math": False,
    "text.usetex": False,
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
        matplotlib = require_extra("matplotlib", "plot")

        from matplotlib.backends.backend_agg import FigureCanvasAgg

        with matplotlib.rc_context():
            matplotlib.rcdefaults()
            matplotlib.rcParams.update(_STYLE)
            figure = draw(*args, **kwargs)
            content = io.BytesIO()
            FigureCanvasAgg(figure)
            # The version of matplotlib is omitted, so that equal pictures have equal bytes.
            figure.savefig(
                content,
                format="png",
                bbox_inches="tight",
                pad_inches=0.15,
                metadata={"Software": None},
            )
        return content.getvalue()

    return draw_png


def new_figure(width_inches: float, height_inches: float) -> Figure:
    """Return an empty figure."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width_inches, height_inches))


def new_font(path: str, points: float) -> FontProperties:
    """Return the font in a file, at the given size."""
    from matplotlib.font_manager import FontProperties

    return FontProperties(fname=path, size=points)
