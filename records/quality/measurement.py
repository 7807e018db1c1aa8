"""Measurements of pixels, which are saved in the folder `quality`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from records.errors import CorruptDataError
from records.format.layout import QUALITY_FOLDER
from records.images.thumbnail import decode_reduced
from records.measurements import Measurement
from records.quality.pixels import SIDE_PX, PixelScores, reduce_image, score_pixels

if TYPE_CHECKING:
    from collections.abc import Mapping

    from records.dataset import Record


def measure_record(record: Record) -> Mapping[str, object]:
    """Return the measurements of the image of a record; all are NaN if it cannot be decoded."""
    # `--check header` may store an image that cannot be decoded; `verify --decode` reports it.
    try:
        image = decode_reduced(
            record.image,
            record.format,
            record.width,
            record.height,
            record.channels,
            mode="RGB",
            side_px=SIDE_PX,
            shrink=reduce_image,
        )
    except CorruptDataError:
        return dict.fromkeys(PixelScores._fields, float("nan"))
    return score_pixels(image)._asdict()


PIXEL_SCORES = Measurement(
    QUALITY_FOLDER,
    "pixels at 512, 1",
    pa.schema([pa.field(name, pa.float32(), nullable=False) for name in PixelScores._fields]),
    measure_record,
)
