"""HTML of records, splits and datasets, for notebooks.

Only the first indexes are read, and the result has at most `_MAX_CHARACTERS`. No damage and no
failure of storage raises an error: it is shown instead.
"""

from __future__ import annotations

import io
from base64 import b64encode
from functools import partial
from typing import TYPE_CHECKING

from PIL import Image

from records.dataset.batch_reads import read_each
from records.errors import CorruptDataError, ShardmillError
from records.images.thumbnail import fit_image, fit_square
from records.text.formatting import format_bytes, pluralize
from records.text.html import escape_html, name_to_html, table_to_html

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from records.dataset.dataset import Dataset
    from records.dataset.record import Record
    from records.dataset.split import Split

_RECORD_PX = 256
_TILE_PX = 64
_CLASSES = 8
_IMAGES_PER_CLASS = 6
_SEARCHED_RECORDS = 20_000
"""The number of records in which images of a class are searched: a class may be rare."""
_MAX_CHARACTERS = 250_000
_JPEG_QUALITY = 75


def encode_png(record: Record, side_px: int | None = None) -> bytes:
    """Return the image of a record as PNG, scaled to fit into a square with sides of `side_px`.

    If `side_px` is None, the image keeps its size.

    Raises:
        CorruptDataError: the image cannot be decoded.
    """
    pixels = record.decode()
    if side_px is not None:
        image = fit_square(pixels, side_px)
    else:
        image = Image.fromarray(pixels[:, :, 0] if record.channels == 1 else pixels)
    return _encode(image, "png")


def record_html(record: Record) -> str:
    """Return a record as HTML: image, key, class and size."""
    lines = (
        record.key,
        f"{record.class_name} ({_show_labels(record.labels)})",
        f"{record.width}×{record.height}×{record.channels} {record.format}",
        pluralize(len(record.image), "byte"),
    )
    caption = "<br>".join(map(name_to_html, lines))
    try:
        picture = _image_tag("png", encode_png(record, _RECORD_PX), record.key)
    except CorruptDataError as error:
        picture = _damaged(error)
    return f"<figure>{picture}<figcaption>{caption}</figcaption></figure>"


def _show_labels(labels: tuple[int, ...]) -> str:
    if not labels:
        return "no label"
    return f"{'label' if len(labels) == 1 else 'labels'} {', '.join(map(str, labels))}"


def split_html(split: Split) -> str:
    """Return a split as HTML: counts, and the first images of the first classes."""
    return (
        f"<div><p>{escape_html(repr(split))}</p>{_classes(split, split.info.class_records)}</div>"
    )


def dataset_html(dataset: Dataset) -> str:
    """Return a dataset as HTML: path, counts, splits, and some images of the first classes.

    The images come from the train split, or from the first split if there is no train split.
    """
    infos = {name: split.info for name, split in dataset.items()}
    records = sum(info.records for info in infos.values())
    facts = (
        pluralize(records, "image"),
        pluralize(len(dataset.labels), "class"),
        format_bytes(sum(info.bytes for info in infos.values())),
        f"generation {dataset.manifest.generations[-1].number}",
    )
    splits = table_to_html(
        ("split", "records", "shards", "share", "size"),
        [
            (
                name,
                f"{info.records:,}",
                f"{len(info.shards):,}",
                f"{info.records / max(records, 1):.1%}",
                format_bytes(info.bytes),
            )
            for name, info in infos.items()
        ],
    )
    shown = dataset["train"] if "train" in dataset else next(iter(dataset.values()), None)
    counts = (info.class_records for info in infos.values())
    totals = [*map(sum, zip(*counts, strict=True))]
    classes = "" if shown is None else _classes(shown, totals)
    return f"<div><p>{escape_html(dataset.path)}: {', '.join(facts)}</p>{splits}{classes}</div>"


def _classes(split: Split, totals: Sequence[int]) -> str:
    """Return a table of the first classes of a split, with their images.

    Args:
        split: the split of the images.
        totals: the number of images of each class, by label.
    """
    present = [label for label, records in enumerate(split.info.class_records) if records]
    shown = present[:_CLASSES]
    try:
        numbers = split.find_by_label(shown, _IMAGES_PER_CLASS, most_records=_SEARCHED_RECORDS)
        tiles = dict(_tiles(split, [number for label in shown for number in numbers[label]]))
    except ShardmillError as error:
        return f"<p>{escape_html(str(error))}</p>"
    rows = []
    for label in shown:
        pictures = "".join(tiles.get(number, "") for number in numbers[label])
        rows.append((name_to_html(split.labels[label]), f"{totals[label]:,}", pictures))
    more = len(present) - len(shown)
    note = f"<p>and {pluralize(more, 'more class')}</p>" if more else ""
    heads = ("class", "images", f"the first images of {split.name}")
    return f"{table_to_html(heads, rows)}{note}"


def _tiles(split: Split, numbers: Sequence[int]) -> Iterator[tuple[int, str]]:
    """Yield small images of records by their numbers, as long as there is space for them."""
    left = _MAX_CHARACTERS
    for number, found in zip(numbers, read_each(split, numbers), strict=True):
        tile = _damaged(found) if isinstance(found, CorruptDataError) else _tile(found)
        left -= len(tile)
        if left < 0:
            return
        yield number, tile


def _tile(record: Record) -> str:
    try:
        image = record.decode_reduced(_TILE_PX, partial(fit_image, side_px=_TILE_PX))
    except CorruptDataError as error:
        return _damaged(error)
    # An enlarged image has few different pixels, which JPEG would blur.
    kind = "png" if 2 * max(record.width, record.height) <= _TILE_PX else "jpeg"
    return _image_tag(kind, _encode(image, kind), record.key)


def _encode(image: Image.Image, kind: str) -> bytes:
    content = io.BytesIO()
    image.save(content, kind, **({"quality": _JPEG_QUALITY} if kind == "jpeg" else {}))
    return content.getvalue()


def _image_tag(kind: str, content: bytes, key: str) -> str:
    url = f"data:image/{kind};base64,{b64encode(content).decode()}"
    name = name_to_html(key)
    return f'<img src="{url}" alt="{name}" title="{name}">'


def _damaged(error: CorruptDataError) -> str:
    return f'<span title="{escape_html(str(error))}">damaged</span>'
