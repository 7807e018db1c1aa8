"""Image file of a record, and its key as a path."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Literal, NamedTuple

from PIL import Image

from records.errors import CorruptDataError
from records.images import decode_record_image
from records.text.escaping import escape_for_display
from records.text.keys import key_from_text

if TYPE_CHECKING:
    from records.dataset import Record

ImageFormat = Literal["jpeg", "png"]


class ImageFile(NamedTuple):
    """The content of an image file, and its format."""

    content: bytes
    format: ImageFormat


def image_file(record: Record) -> ImageFile:
    """Return the image of a record as a file: the stored bytes, or raw samples as PNG.

    Raises:
        CorruptDataError: the record has an unknown format, or the wrong number of samples.
    """
    if record.format == "jpeg":
        return ImageFile(record.image, "jpeg")
    if record.format == "png":
        return ImageFile(record.image, "png")
    if record.format != "raw":
        raise CorruptDataError(
            "a record has an unknown format", got=escape_for_display(record.format)
        )
    pixels = decode_record_image(record.image, "raw", record.width, record.height, record.channels)
    content = io.BytesIO()
    Image.fromarray(pixels[:, :, 0] if record.channels == 1 else pixels).save(content, "PNG")
    return ImageFile(content.getvalue(), "png")


def key_as_path(record: Record) -> str:
    """Return the key of a record as a path in UTF-8: other bytes are escaped as `%FF`."""
    try:
        return key_from_text(record.key).decode()
    except UnicodeDecodeError:
        return record.key
