"""A fair sample of images over the classes, as thumbnails: the same for the same files."""

from __future__ import annotations

from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from PIL import Image

from records.dataset import decode_record
from records.errors import CorruptDataError
from records.format import schema
from records.format.image_options import ImageOptions
from records.format.payload import parse_payload
from records.format.shard import read_shard
from records.images import decode_pixels
from records.images.header import recognize_image
from records.images.thumbnail import fit_square

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from records.dataset import Dataset, Record, Split
    from records.format.example import FeatureValue
    from records.storage import Storage

TILE_PX = 144
SCANNED_RECORDS = 2000
_ROWS_OF_ONE_CLASS = 6
_FOREIGN_IMAGES = (schema.ENCODED, "image", "image_raw", "jpg", "png")
_FOREIGN_LABELS = (schema.TEXT, "label_text", "class_name", schema.LABEL, "label", "class")


class ClassSample(NamedTuple):
    """Thumbnails of a class; `name` is "" and `records` None where that is not known."""

    name: str
    records: int | None
    images: list[Image.Image]


def sample_dataset(dataset: Dataset, *, images: int, classes: int) -> list[ClassSample]:
    """The first images of each class of the train split: its order is by hash, so they are fair.

    Args:
        dataset: an open dataset; where it has no train split, its first split is taken.
        images: the most of a class.
        classes: the most classes; of more, some evenly spread over the label map.

    Raises:
        CorruptDataError: an index or a record is damaged.
    """
    split = main_split(dataset)
    present = [label for label, records in enumerate(split.info.class_records) if records]
    wanted = present if len(present) <= classes else _spread(present, classes)
    numbers = split.find_by_label(wanted, images)
    return [
        ClassSample(
            dataset.labels[label],
            split.info.class_records[label],
            [make_thumbnail(split[number]) for number in numbers[label]],
        )
        for label in wanted
    ]


def make_thumbnail(record: Record) -> Image.Image:
    """A record's image so that it fits a tile. Raises CorruptDataError where it does not decode."""
    return fit_square(record.decode(), TILE_PX)


def main_split(dataset: Dataset) -> Split:
    """The train split, or the first there is."""
    return dataset["train"] if "train" in dataset else next(iter(dataset.values()))


def _spread(present: list[int], count: int) -> list[int]:
    return [present[place * len(present) // count] for place in range(count)]


def sample_file(storage: Storage, name: str, *, images: int, classes: int) -> list[ClassSample]:
    """The first images of each class among a TFRecord file's first 2,000 records, anybody's too.

    Raises:
        CorruptDataError: a record among those is damaged.
        FileNotFoundError: there is no such file.
    """
    found: dict[str, list[Image.Image]] = {}
    for frame in islice(read_shard(storage, name), SCANNED_RECORDS):
        label = _label_of(parse_payload(frame.payload).features)
        if label not in found and len(found) == classes:
            continue
        members = found.setdefault(label, [])
        if len(members) < (images if len(found) > 1 else images * _ROWS_OF_ONE_CLASS):
            members += (
                fit_square(pixels, TILE_PX) for pixels in islice(_decode_anybodys(frame.payload), 1)
            )
    return [
        ClassSample(label, None, members) for label, members in sorted(found.items()) if members
    ]


def _label_of(features: dict[str, FeatureValue]) -> str:
    for name in _FOREIGN_LABELS:
        values = features.get(name, [])
        if len(values) == 1:
            value = values[0]
            return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    return ""


def _decode_anybodys(payload: bytes) -> Iterator[NDArray[np.uint8]]:
    """The images in a record that decode; ours by its own features, for it may be raw."""
    with suppress(CorruptDataError):
        yield decode_record(payload).decode()
    features = parse_payload(payload).features
    for name in sorted(features, key=_image_rank):
        for value in features[name]:
            if isinstance(value, bytes) and recognize_image(value) is not None:
                with suppress(CorruptDataError):
                    yield decode_pixels(value, ImageOptions())


def _image_rank(name: str) -> tuple[int, str]:
    known = name in _FOREIGN_IMAGES
    return (_FOREIGN_IMAGES.index(name) if known else len(_FOREIGN_IMAGES), name)
