"""Figures of matplotlib, independent of the settings of the user."""

from __future__ import annotations

import io
import logging
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from records.errors import UsageError
from records.runtime.extras import require_extra

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from matplotlib.figure import Figure

_STYLE = {
    # A class name such as `$x_{ b$` must not be parsed as math.
    "text.parse_math": False,
    "text.usetex": False,
}


@contextmanager
def figure_style(style: Mapping[str, object]) -> Iterator[None]:
    """Within the block, draw with the defaults of matplotlib and this style.

    The backend, matplotlibrc and `rcParams` have no effect; afterwards `rcParams` are as before.

    Raises:
        UsageError: matplotlib is not installed, or matplotlibrc prevents its import.
    """
    matplotlib = _import_matplotlib()
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update({**_STYLE, **style})
        yield


def encode_figure(figure: Figure, **options: Any) -> bytes:
    """Return a figure as the bytes of a PNG file; the options are those of `savefig`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    content = io.BytesIO()
    FigureCanvasAgg(figure)
    # The version of matplotlib is omitted, so that equal pictures have equal bytes.
    figure.savefig(content, format="png", metadata={"Software": None}, **options)
    return content.getvalue()


def encode_svg(figure: Figure) -> str:
    """Return a figure as SVG, with texts as texts; equal figures have equal bytes.

    The ids of clip paths follow from the setting `svg.hashsalt`, which `figure_style` sets.
    """
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    content = io.StringIO()
    FigureCanvasSVG(figure)
    omitted = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(content, format="svg", metadata=omitted, transparent=True)
    return content.getvalue()


def _import_matplotlib() -> Any:
    # It warns about invalid lines of matplotlibrc, and of a HOME that it cannot write to.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
    try:
        return require_extra("matplotlib", "plot")
    except (OSError, ValueError) as error:
        raise UsageError(
            "matplotlib cannot read its settings",
            path=os.path.abspath("matplotlibrc"),  # noqa: PTH100
            got=str(error),
            hint="remove the file matplotlibrc, and unset MPLBACKEND and MATPLOTLIBRC",
        ) from error
