"""HTML for notebooks: one record, or some records of each class."""

from __future__ import annotations

import html
import io
from base64 import b64encode
from typing import TYPE_CHECKING

from PIL import Image

from records.errors import CorruptDataError
from records.images.thumbnail import fit_square
from records.text.escaping import escape_for_display
from records.text.formatting import pluralize

if TYPE_CHECKING:
    from records.dataset.dataset import Dataset
    from records.dataset.record import Record
    from records.dataset.split import Split

_RECORD_PX = 256
_TILE_PX = 64
_CLASSES = 8
_IMAGES_PER_CLASS = 6
_NAME_CHARS = 60


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
    content = io.BytesIO()
    image.save(content, "PNG")
    return content.getvalue()


def record_html(record: Record) -> str:
    """Return a record as HTML: image, key, class and size."""
    lines = (
        record.key,
        f"{record.class_name} ({_show_labels(record.labels)})",
        f"{record.width}×{record.height}×{record.channels} {record.format}",
        pluralize(len(record.image), "byte"),
    )
    caption = "<br>".join(map(_escape_name, lines))
    return f"<figure>{_image_tag(record, _RECORD_PX)}<figcaption>{caption}</figcaption></figure>"


def _show_labels(labels: tuple[int, ...]) -> str:
    if not labels:
        return "no label"
    return f"{'label' if len(labels) == 1 else 'labels'} {', '.join(map(str, labels))}"


def split_html(split: Split) -> str:
    """Return a split as HTML: counts, and the first images of the first classes."""
    return f"<div><p>{_escape(repr(split))}</p>{_contact_sheet(split)}</div>"


def dataset_html(dataset: Dataset) -> str:
    """Return a dataset as HTML: path, splits, and some images of the first classes.

    The images come from the train split, or from the first split if there is no train split.
    """
    rows = "".join(
        f"<tr><th>{name}</th><td>{split.info.records:,}</td><td>{len(split.info.shards):,}</td></tr>"
        for name, split in dataset.items()
    )
    head = "<tr><th>split</th><th>records</th><th>shards</th></tr>"
    classes = len(dataset.labels)
    title = f"{_escape(dataset.path)}: {classes:,} {'class' if classes == 1 else 'classes'}"
    shown = dataset["train"] if "train" in dataset else next(iter(dataset.values()), None)
    sheet = "" if shown is None else _contact_sheet(shown)
    return f"<div><p>{title}</p><table>{head}{rows}</table>{sheet}</div>"


def _contact_sheet(split: Split) -> str:
    present = [label for label, records in enumerate(split.info.class_records) if records]
    shown = present[:_CLASSES]
    try:
        numbers = split.find_by_label(shown, _IMAGES_PER_CLASS)
    except CorruptDataError as error:
        return f"<p>{_escape(str(error))}</p>"
    rows = [
        f"<tr><th>{_escape_name(split.labels[label])}</th>"
        f"<td>{''.join(_tile(split, number) for number in numbers[label])}</td></tr>"
        for label in shown
    ]
    more = len(present) - len(shown)
    note = f"<p>and {more:,} more</p>" if more else ""
    return f"<table>{''.join(rows)}</table>{note}"


def _tile(split: Split, number: int) -> str:
    try:
        return _image_tag(split[number], _TILE_PX)
    except CorruptDataError as error:
        return _damaged(error)


def _image_tag(record: Record, side_px: int) -> str:
    try:
        encoded = b64encode(encode_png(record, side_px)).decode()
    except CorruptDataError as error:
        return _damaged(error)
    return f'<img src="data:image/png;base64,{encoded}" title="{_escape_name(record.key)}">'


def _damaged(error: CorruptDataError) -> str:
    return f'<span title="{_escape(str(error))}">damaged</span>'


def _escape(text: str) -> str:
    return html.escape(escape_for_display(text))


def _escape_name(name: str) -> str:
    """Return a key or a class name as HTML; the middle of a long name is omitted."""
    if len(name) > 2 * _NAME_CHARS:
        name = f"{name[:_NAME_CHARS]}…{name[-_NAME_CHARS:]}"
    return _escape(name)
