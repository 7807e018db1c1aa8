"""Contact sheet with images of each class.

If there are few classes, each class has one row of tiles, with the class name on the left. If there
are many classes, each class has one tile, with the class name below it.
"""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING

from PIL import ImageDraw

from records.errors import InputNotFoundError
from records.pictures.canvas import (
    GAP_PX,
    INK,
    MARGIN_PX,
    PALE_INK,
    fit_text,
    new_sheet,
    paste_tile,
    tile_top,
)
from records.pictures.fonts import drawable, find_font, open_font
from records.pictures.thumbnails import (
    SCANNED_RECORDS,
    TILE_PX,
    ClassSample,
    main_split,
    sample_dataset,
    sample_file,
)
from records.text.formatting import pluralize

if TYPE_CHECKING:
    from PIL import Image

    from records.dataset import Dataset
    from records.storage import Storage

_CAPTION_PX = 26
_MAX_NAME_PX = 190
COLUMNS = 8
_MAX_ROWS = 12
_MAX_TILES = 96


def draw_dataset(dataset: Dataset) -> bytes:
    """Return the contact sheet of a dataset as PNG.

    Raises:
        CorruptDataError: an index or a record is damaged.
    """
    split = main_split(dataset)
    classes = sum(map(bool, split.info.class_records))
    images = COLUMNS if classes <= _MAX_ROWS else 1
    samples = sample_dataset(dataset, images=images, classes=_MAX_TILES)
    images_text = pluralize(len(split), "image")
    title = f"{split.name}: {images_text}, {pluralize(len(dataset.labels), 'class')}"
    return draw_samples(samples, title + _subtitle(classes, len(samples)))


def draw_file(storage: Storage, name: str) -> bytes:
    """Return the contact sheet of any TFRecord file as PNG.

    Raises:
        InputNotFoundError: the first 2,000 records contain no decodable image.
        CorruptDataError: a record is damaged.
    """
    samples = sample_file(storage, name, images=COLUMNS, classes=_MAX_TILES)
    if not samples:
        raise InputNotFoundError(
            f"none of the first {SCANNED_RECORDS:,} records contains a decodable image",
            path=storage.display_name(name),
        )
    return draw_samples(samples, name)


def draw_samples(samples: list[ClassSample], title: str) -> bytes:
    """Return a contact sheet of at least one sample as PNG."""
    names = [sample.name for sample in samples]
    font = find_font([title, *names])
    if len(samples) == 1:
        tiles = [("", image) for image in samples[0].images]
        sheet = _draw_tiles(tiles, " ".join([title, names[0]]).strip(), font)
    elif len(samples) <= _MAX_ROWS:
        sheet = _draw_rows(samples, title, font)
    else:
        tiles = [(sample.name, sample.images[0]) for sample in samples]
        sheet = _draw_tiles(tiles, title, font)
    content = io.BytesIO()
    sheet.save(content, "PNG")
    return content.getvalue()


def _draw_rows(samples: list[ClassSample], title: str, font: str) -> Image.Image:
    columns = max(len(sample.images) for sample in samples)
    name_font, count_font = (open_font(font, size) for size in (17, 13))
    names = [fit_text(drawable(s.name, font), name_font, _MAX_NAME_PX) for s in samples]
    counts = ["" if s.records is None else f"{s.records:,}" for s in samples]
    widths = [*map(name_font.getlength, names), *map(count_font.getlength, counts)]
    names_px = math.ceil(max(widths)) + 2 * GAP_PX
    sheet = new_sheet(columns, len(samples), title, font, left_px=names_px)
    draw = ImageDraw.Draw(sheet)
    for row, sample in enumerate(samples):
        top = tile_top(row, TILE_PX)
        middle = top + TILE_PX // 2
        draw.text((MARGIN_PX, middle - 2), names[row], INK, name_font, anchor="ls")
        draw.text((MARGIN_PX, middle + 6), counts[row], PALE_INK, count_font, anchor="lt")
        for column, image in enumerate(sample.images):
            paste_tile(sheet, image, MARGIN_PX + names_px + column * (TILE_PX + GAP_PX), top)
    return sheet


def _draw_tiles(tiles: list[tuple[str, Image.Image]], title: str, font: str) -> Image.Image:
    caption_px = _CAPTION_PX if any(name for name, _ in tiles) else 0
    columns = min(COLUMNS, len(tiles))
    rows = -(-len(tiles) // columns)
    sheet = new_sheet(columns, rows, title, font, tile_height_px=TILE_PX + caption_px)
    draw = ImageDraw.Draw(sheet)
    caption_font = open_font(font, 13)
    for place, (name, image) in enumerate(tiles):
        left = MARGIN_PX + place % columns * (TILE_PX + GAP_PX)
        top = tile_top(place // columns, TILE_PX + caption_px)
        paste_tile(sheet, image, left, top)
        caption = fit_text(drawable(name, font), caption_font, TILE_PX)
        draw.text((left, top + TILE_PX + 6), caption, INK, caption_font, anchor="la")
    return sheet


def _subtitle(classes: int, shown: int) -> str:
    return f", {pluralize(shown, 'class')} shown" if shown < classes else ""
