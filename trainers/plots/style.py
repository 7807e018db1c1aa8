"""Figures in one style, each as the bytes of a PNG file."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

_P = ParamSpec("_P")

_STYLE = {
    # A class may be named `$x_{ b$`.
    "text.parse_math": False,
    "text.usetex": False,
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "savefig.dpi": 110,
}


def render_png(draw: Callable[_P, Figure]) -> Callable[_P, bytes]:
    """Run a drawing function in our style, whatever the user's matplotlibrc says, to PNG bytes."""

    @wraps(draw)
    def draw_png(*args: _P.args, **kwargs: _P.kwargs) -> bytes:
        with matplotlib.rc_context():
            matplotlib.rcdefaults()
            matplotlib.rcParams.update(_STYLE)
            figure = draw(*args, **kwargs)
            content = io.BytesIO()
            FigureCanvasAgg(figure)
            # No version of matplotlib in the file: the same picture is the same bytes.
            figure.savefig(
                content,
                format="png",
                bbox_inches="tight",
                pad_inches=0.15,
                metadata={"Software": None},
            )
        return content.getvalue()

    return draw_png
