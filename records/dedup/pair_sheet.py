"""Picture of near-duplicate pairs, with split, class and key below each image."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from PIL import ImageDraw, ImageFont

from records.pictures.canvas import (
    GAP_PX,
    INK,
    MARGIN_PX,
    PALE_INK,
    fit_end,
    fit_text,
    new_sheet,
    paste_tile,
    tile_top,
)
from records.pictures.fonts import drawable, find_font, open_font
from records.pictures.thumbnails import TILE_PX, make_thumbnail
from records.stats import read_record
from records.text.formatting import pluralize

if TYPE_CHECKING:
    from PIL import Image

    from records.dataset import Dataset
    from records.dedup.groups import NearDuplicates, NearImage, NearPair

_COLUMNS = 3
_MAX_PAIRS = 48
_PAIR_GAP_PX = 24
_PAIR_PX = 2 * TILE_PX + GAP_PX
_CAPTION_PX = 62
_LINE_PX = 18
_LEAK_INK = (178, 52, 36)


def draw_pair_sheet(dataset: Dataset, near: NearDuplicates) -> bytes:
    """Return a picture of the first pairs of `near`, with the leaks at the top, as PNG.

    Raises:
        CorruptDataError: an index or a record is damaged.
    """
    pairs = near.pairs[:_MAX_PAIRS]
    title = pluralize(len(near.pairs), "pair") + _subtitle(near, len(pairs))
    keys = [image.key for pair in pairs for image in (pair.kept, pair.other)]
    font = find_font([title, *keys, *dataset.labels])
    columns = max(1, min(_COLUMNS, len(pairs)))
    sheet = new_sheet(
        2 * columns,
        -(-len(pairs) // columns),
        title,
        font,
        left_px=(columns - 1) * (_PAIR_GAP_PX - GAP_PX),
        tile_height_px=TILE_PX + _CAPTION_PX,
    )
    for place, pair in enumerate(pairs):
        left = MARGIN_PX + place % columns * (_PAIR_PX + _PAIR_GAP_PX)
        top = tile_top(place // columns, TILE_PX + _CAPTION_PX)
        for image, at in ((pair.kept, left), (pair.other, left + TILE_PX + GAP_PX)):
            record = read_record(dataset, image.split, image.row)
            paste_tile(sheet, make_thumbnail(record), at, top)
            _write_lines(sheet, (at, top + TILE_PX), _caption(image, record.class_name, pair), font)
    content = io.BytesIO()
    sheet.save(content, "PNG")
    return content.getvalue()


class _Line(NamedTuple):
    text: str
    ink: tuple[int, int, int] = PALE_INK
    cut: Callable[[str, ImageFont.FreeTypeFont, float], str] = fit_text


def _caption(image: NearImage, label: str, pair: NearPair) -> list[_Line]:
    lines = [
        _Line(f"{image.split} · {label}", _LEAK_INK if pair.is_leak else INK),
        _Line(image.key, cut=fit_end),  # the start of a key is often the class
    ]
    if image is pair.kept:
        lines.append(_Line(pluralize(pair.hamming_distance, "different bit")))
    return lines


def _write_lines(sheet: Image.Image, at: tuple[int, int], lines: list[_Line], font: str) -> None:
    draw, small = ImageDraw.Draw(sheet), open_font(font, 13)
    for number, line in enumerate(lines):
        text = line.cut(drawable(line.text, font), small, TILE_PX)
        draw.text((at[0], at[1] + 4 + number * _LINE_PX), text, line.ink, small, anchor="la")


def _subtitle(near: NearDuplicates, shown: int) -> str:
    leaks = sum(pair.is_leak for pair in near.pairs)
    rest = f", the first {shown} shown" if shown < len(near.pairs) else ""
    return f" of near images, {leaks:,} between splits{rest}"
