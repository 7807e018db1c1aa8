"""Canvas of image tiles, with title and margins."""

from __future__ import annotations

import math
from bisect import bisect_right

from PIL import Image, ImageDraw, ImageFont

from records.pictures.fonts import drawable, open_font
from records.pictures.thumbnails import TILE_PX

GAP_PX = 10
MARGIN_PX = 28
INK = (28, 32, 38)
PALE_INK = (112, 120, 130)

_TITLE_PX = 58
_MAX_CHARACTERS_PER_PX = 2
_MAX_TITLE_PX = 1200
_PAPER = (255, 255, 255)
_MATTE = (240, 241, 243)


def new_sheet(
    columns: int,
    rows: int,
    title: str,
    font: str,
    *,
    left_px: int = 0,
    tile_height_px: int = TILE_PX,
) -> Image.Image:
    """Return an empty sheet with a title.

    Args:
        columns: the number of tiles per row.
        rows: the number of rows.
        title: the title; a narrow sheet becomes wider for it, up to 1,200 px, then it is truncated.
        font: the result of `find_font`.
        left_px: the width of the area to the left of the tiles.
        tile_height_px: the height of a tile with its caption.
    """
    title_font = open_font(font, 20)
    tiles_px = left_px + columns * (TILE_PX + GAP_PX) - GAP_PX
    text = fit_text(drawable(title, font), title_font, max(tiles_px, _MAX_TITLE_PX))
    width = 2 * MARGIN_PX + max(tiles_px, math.ceil(title_font.getlength(text)))
    height = tile_top(rows, tile_height_px) - GAP_PX + MARGIN_PX
    sheet = Image.new("RGB", (width, height), _PAPER)
    ImageDraw.Draw(sheet).text((MARGIN_PX, MARGIN_PX), text, INK, title_font, anchor="lt")
    return sheet


def tile_top(row: int, tile_height_px: int) -> int:
    """Return the top edge of a row of tiles, in px."""
    return MARGIN_PX + _TITLE_PX - MARGIN_PX // 2 + row * (tile_height_px + GAP_PX)


def paste_tile(sheet: Image.Image, image: Image.Image, left: int, top: int) -> None:
    """Paste an image into the middle of its tile."""
    ImageDraw.Draw(sheet).rectangle((left, top, left + TILE_PX - 1, top + TILE_PX - 1), _MATTE)
    place = (left + (TILE_PX - image.width) // 2, top + (TILE_PX - image.height) // 2)
    sheet.paste(image, place)


def fit_end(text: str, font: ImageFont.FreeTypeFont, width_px: float) -> str:
    """Return a text that fits a width; if the text is too wide, truncate its start."""
    return fit_text(text[::-1], font, width_px)[::-1]


def fit_text(text: str, font: ImageFont.FreeTypeFont, width_px: float) -> str:
    """Return a text that fits a width; if the text is too wide, truncate its end."""
    # A glyph without a width (an accent) must not make the measured text longer and longer.
    most = _MAX_CHARACTERS_PER_PX * max(1, int(width_px))
    if len(text) <= most and font.getlength(text) <= width_px:
        return text
    lengths = range(min(len(text), most) + 1)
    fitting = bisect_right(lengths, width_px, key=lambda n: font.getlength(text[:n] + "…"))
    return text[: max(0, fitting - 1)] + "…"
