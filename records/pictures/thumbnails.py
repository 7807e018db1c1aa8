"""Deterministic sample of the images of each class, as thumbnails."""

from __future__ import annotations

from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from PIL import Image

from records.dataset import decode_record
from records.errors import CorruptDataError
from records.format import schema
from records.format.example import parse_payload
from records.format.image_options import ImageOptions
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
_IMAGE_FEATURES = (schema.ENCODED, "image", "image_raw", "jpg", "png")
_CLASS_FEATURES = (schema.TEXT, "label_text", "class_name", schema.LABEL, "label", "class")


class ClassSample(NamedTuple):
    """Thumbnails of a class.

    Attributes:
        name: the class name; "" if unknown.
        records: the number of records of the class; None if unknown.
        images: the thumbnails.
    """

    name: str
    records: int | None
    images: list[Image.Image]


def sample_dataset(dataset: Dataset, *, images: int, classes: int) -> list[ClassSample]:
    """Return the first images of each class in the train split.

    Records are stored in the order of a hash, so the first images are a random sample, but always
    the same one.

    Args:
        dataset: an open dataset; if it has no train split, its first split is used.
        images: the maximum number of images per class.
        classes: the maximum number of classes. If there are more, classes are chosen at regular
            intervals in the order of the label map.

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
    """Return the image of a record, scaled to fit into a tile. Raises CorruptDataError."""
    return fit_square(record.decode(), TILE_PX)


def main_split(dataset: Dataset) -> Split:
    """Return the train split; without a train split, the first split."""
    return dataset["train"] if "train" in dataset else next(iter(dataset.values()))


def _spread(present: list[int], count: int) -> list[int]:
    return [present[place * len(present) // count] for place in range(count)]


def sample_file(storage: Storage, name: str, *, images: int, classes: int) -> list[ClassSample]:
    """Return the first images of each class among the first 2,000 records of any TFRecord file.

    Raises:
        CorruptDataError: one of these records is damaged.
        FileNotFoundError: the file does not exist.
    """
    found: dict[str, list[Image.Image]] = {}
    for frame in islice(read_shard(storage, name), SCANNED_RECORDS):
        label = _label_of(parse_payload(frame.payload).features)
        if label not in found and len(found) == classes:
            continue
        members = found.setdefault(label, [])
        if len(members) < (images if len(found) > 1 else images * _ROWS_OF_ONE_CLASS):
            members += (
                fit_square(pixels, TILE_PX) for pixels in islice(_decode_any(frame.payload), 1)
            )
    return [
        ClassSample(label, None, members) for label, members in sorted(found.items()) if members
    ]


def _label_of(features: dict[str, FeatureValue]) -> str:
    for name in _CLASS_FEATURES:
        values = features.get(name, [])
        if len(values) == 1:
            value = values[0]
            return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    return ""


def _decode_any(payload: bytes) -> Iterator[NDArray[np.uint8]]:
    """Yield the decodable images in a record, and raw pixels if shardmill wrote the record."""
    with suppress(CorruptDataError):
        yield decode_record(payload).decode()
    features = parse_payload(payload).features
    for name in sorted(features, key=_image_rank):
        for value in features[name]:
            if isinstance(value, bytes) and recognize_image(value) is not None:
                with suppress(CorruptDataError):
                    yield decode_pixels(value, ImageOptions())


def _image_rank(name: str) -> tuple[int, str]:
    known = name in _IMAGE_FEATURES
    return (_IMAGE_FEATURES.index(name) if known else len(_IMAGE_FEATURES), name)
