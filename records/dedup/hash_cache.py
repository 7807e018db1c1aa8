"""Perceptual hashes of a dataset, which are saved in the folder `hashes`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from records.dedup.perceptual_hash import METHOD, SIDE_PX, WINDOWS, WORDS, hash_picture
from records.errors import CorruptDataError
from records.format.layout import HASHES_FOLDER
from records.images.thumbnail import decode_thumbnail
from records.measurements import Measurement

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from records.dataset import Record

State = Literal["hashed", "flat", "undecodable"]
STATES: tuple[State, ...] = ("hashed", "flat", "undecodable")

_HASH_BYTES = 8 * WINDOWS * WORDS
_NO_HASHES = bytes(_HASH_BYTES)


class Hashes(NamedTuple):
    """States and hashes of images, in the order of their records.

    Attributes:
        states: the state of each image as its position in `STATES`, uint8.
        words: the hashes, uint64 of shape (images, WINDOWS, WORDS); zeros if the state is not
            `hashed`.
    """

    states: NDArray[np.uint8]
    words: NDArray[np.uint64]


def hash_record(record: Record) -> Mapping[str, object]:
    """Return the state and the hashes of the image of a record."""
    # `--check header` may store an image that cannot be decoded; `verify --decode` reports it.
    try:
        pixels = decode_thumbnail(
            record.image,
            record.format,
            record.width,
            record.height,
            record.channels,
            side_px=SIDE_PX,
        )
    except CorruptDataError:
        return {"state": "undecodable", "hashes": _NO_HASHES}
    words = hash_picture(pixels)
    if words is None:
        return {"state": "flat", "hashes": _NO_HASHES}
    return {"state": "hashed", "hashes": words.astype("<u8").tobytes()}


PERCEPTUAL_HASHES = Measurement(
    HASHES_FOLDER,
    METHOD,
    pa.schema(
        [
            pa.field("state", pa.string(), nullable=False),
            pa.field("hashes", pa.binary(_HASH_BYTES), nullable=False),
        ]
    ),
    hash_record,
)


def to_hashes(table: pa.Table) -> Hashes:
    """Return the hashes in a table of `PERCEPTUAL_HASHES`. An unknown state is `undecodable`."""
    numbers = pc.index_in(table["state"], pa.array(STATES, pa.string()))
    states = numbers.fill_null(STATES.index("undecodable")).to_numpy().astype(np.uint8)
    words = np.frombuffer(b"".join(table["hashes"].to_pylist()), "<u8").astype(np.uint64)
    return Hashes(states, words.reshape(len(states), WINDOWS, WORDS))
