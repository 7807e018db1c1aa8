"""Measurements of pixels, which are saved in the folder `quality`.

`quality` measures the images in records. A conversion measures an image when it normalizes it, from
the decode that checks the image, and gets the same numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pyarrow as pa

from records.errors import CorruptDataError
from records.format.layout import QUALITY_FOLDER
from records.images import ImageOptions, NormalizedImage, Rejection, normalize_image
from records.images.thumbnail import decode_reduced
from records.measurements import Measurement
from records.quality.pixels import SIDE_PX, PixelScores, reduce_image, score_pixels

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from records.dataset import Record

_UNKNOWN = PixelScores(*[float("nan")] * len(PixelScores._fields))


def measure_record(record: Record) -> Mapping[str, object]:
    """Return the measurements of the image of a record; all are NaN if it cannot be decoded."""
    size = record.width, record.height, record.channels
    # `--check header` may store an image that cannot be decoded; `verify --decode` reports it.
    try:
        return _score(record.image, record.format, *size)._asdict()
    except CorruptDataError:
        return _UNKNOWN._asdict()


PIXEL_SCORES = Measurement(
    QUALITY_FOLDER,
    "pixels at 512, 1",
    pa.schema([pa.field(name, pa.float32(), nullable=False) for name in PixelScores._fields]),
    measure_record,
)


class ScoredImage(NormalizedImage, frozen=True):
    """A stored image, and the measurements of its pixels."""

    scores: PixelScores


def normalize_and_score(data: bytes, options: ImageOptions) -> ScoredImage | Rejection:
    """Normalize an image file, and measure the stored image; otherwise as `normalize_image`.

    The result is the same as that of `normalize_image`. A file that is stored unchanged is decoded
    once: to measure it is to check it.
    """
    stored = normalize_image(data, msgspec.structs.replace(options, check="header"))
    if isinstance(stored, Rejection):
        return stored
    try:
        size = stored.width, stored.height, stored.channels
        scores = _score(stored.encoded, stored.format, *size)
    except CorruptDataError:
        checked = normalize_image(data, options)
        if isinstance(checked, Rejection):
            return checked
        scores = _UNKNOWN
    return ScoredImage(**msgspec.structs.asdict(stored), scores=scores)


def to_score_table(scores: Iterable[PixelScores]) -> pa.Table:
    """Return the table of `PIXEL_SCORES` for images in the order of their records."""
    return pa.Table.from_pylist([each._asdict() for each in scores], PIXEL_SCORES.schema)


def _score(encoded: bytes, format: str, width: int, height: int, channels: int) -> PixelScores:  # noqa: A002
    """Return the measurements of a stored image. Raises CorruptDataError."""
    image = decode_reduced(
        encoded, format, width, height, channels, mode="RGB", side_px=SIDE_PX, shrink=reduce_image
    )
    return score_pixels(image)
