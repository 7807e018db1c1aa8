"""Grid of images with lines of text above and below each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from records.pictures.fonts import drawable, find_font
from trainers.plots.style import new_figure, new_font

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

_IMAGE_INCHES = 1.65
_COLUMN_INCHES = 1.75
_LINE_INCHES = 0.125
_GAP_INCHES = 0.1
_TITLE_POINTS = 8
_CAPTION_POINTS = 6
# The numbers of characters that fit at these font sizes.
_TITLE_CHARACTERS = 24
_CAPTION_CHARACTERS = 31
_FEWEST_COLUMNS = 4


class Tile(NamedTuple):
    """An image with its text.

    Attributes:
        pixels: uint8 (height, width, channels).
        title: the lines of text above the image.
        caption: the smaller lines of text below the image.
    """

    pixels: NDArray[np.uint8]
    title: tuple[str, ...]
    caption: tuple[str, ...]


def draw_tiles(tiles: Sequence[Tile]) -> Figure:
    """Draw tiles row by row.

    Args:
        tiles: one or more tiles; all have the same number of title lines and of caption lines.
    """
    columns = min(len(tiles), max(_FEWEST_COLUMNS, round(len(tiles) ** 0.5)))
    rows = -(-len(tiles) // columns)
    title_inches = _LINE_INCHES * len(tiles[0].title) + _GAP_INCHES
    row_inches = title_inches + _IMAGE_INCHES + _LINE_INCHES * len(tiles[0].caption) + _GAP_INCHES
    figure = new_figure(_COLUMN_INCHES * columns, row_inches * rows)
    # All images share one `Axes`, in inches: one per image would take seconds for 100 images.
    axes = figure.add_axes((0, 0, 1, 1))
    axes.axis("off")
    font = find_font([line for tile in tiles for line in tile.title + tile.caption])
    for place, tile in enumerate(tiles):
        center = (place % columns + 0.5) * _COLUMN_INCHES
        top = place // columns * row_inches + title_inches
        _draw_tile(axes, tile, font, center, top)
    axes.set_xlim(0, _COLUMN_INCHES * columns)
    axes.set_ylim(row_inches * rows, 0)
    return figure


def _draw_tile(axes: Any, tile: Tile, font: str, center: float, top: float) -> None:
    """Draw a tile with its image centered in a square; `center` and `top` are in inches."""
    height, width, channels = tile.pixels.shape
    width_inches, height_inches = (
        _IMAGE_INCHES * side / max(width, height) for side in (width, height)
    )
    left, upper = center - width_inches / 2, top + (_IMAGE_INCHES - height_inches) / 2
    axes.imshow(
        tile.pixels[..., 0] if channels == 1 else tile.pixels,
        cmap="gray", vmin=0, vmax=255, aspect="auto",
        extent=(left, left + width_inches, upper + height_inches, upper),
    )  # fmt: skip
    title = "\n".join(shorten(drawable(line, font), _TITLE_CHARACTERS) for line in tile.title)
    caption = "\n".join(
        _keep_end(drawable(line, font), _CAPTION_CHARACTERS) for line in tile.caption
    )
    title_font, caption_font = new_font(font, _TITLE_POINTS), new_font(font, _CAPTION_POINTS)
    below = top + _IMAGE_INCHES + _GAP_INCHES / 3
    shared = {"ha": "center", "linespacing": 1.1}
    axes.text(
        center, top - _GAP_INCHES / 3, title, va="bottom", fontproperties=title_font, **shared
    )
    axes.text(center, below, caption, va="top", fontproperties=caption_font, color="gray", **shared)


def shorten(text: str, characters: int) -> str:
    """Return text of at most `characters` characters, shortened at its end if necessary."""
    return text if len(text) <= characters else text[: characters - 1] + "…"


def _keep_end(text: str, characters: int) -> str:
    """Return text, shortened at its beginning if necessary: the end distinguishes files."""
    return text if len(text) <= characters else "…" + text[1 - characters :]
