"""Small images of records, of which some may be damaged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from records.errors import CorruptDataError
from records.images.thumbnail import decode_reduced

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from PIL import Image

    from records.dataset.record import Record
    from records.dataset.split import Split


def read_each(split: Split, numbers: Sequence[int]) -> list[Record | CorruptDataError]:
    """Return the record of each number, or the error of a damaged one."""
    try:
        return [*split.__getitems__(numbers)]  # of a remote dataset, in parallel
    except CorruptDataError:
        return [_read_one(split, number) for number in numbers]


def _read_one(split: Split, number: int) -> Record | CorruptDataError:
    try:
        return split[number]
    except CorruptDataError as error:
        return error


def decode_small(
    record: Record, side_px: int, shrink: Callable[[Image.Image], Image.Image]
) -> Image.Image:
    """Return the RGB image of a record, decoded at a reduced size and shrunk.

    Args:
        record: the record.
        side_px: the size in pixels from which `shrink` needs no more detail.
        shrink: the function that gives the image its size.

    Raises:
        CorruptDataError: the image is damaged.
    """
    return decode_reduced(
        record.image,
        record.format,
        record.width,
        record.height,
        record.channels,
        mode="RGB",
        side_px=side_px,
        shrink=shrink,
    )
