"""The features of a record, by the names that TF-Slim gave them."""

from __future__ import annotations

from collections.abc import Mapping

from records.example import FeatureValue
from records.images import StoredImage

ENCODED = "image/encoded"
FORMAT = "image/format"
HEIGHT = "image/height"
WIDTH = "image/width"
CHANNELS = "image/channels"
LABEL = "image/class/label"
TEXT = "image/class/text"
FILENAME = "image/filename"

FEATURES: Mapping[str, type] = {
    ENCODED: bytes,
    FORMAT: bytes,
    HEIGHT: int,
    WIDTH: int,
    CHANNELS: int,
    LABEL: int,
    TEXT: bytes,
    FILENAME: bytes,
}
"""Each feature and the type of its single value."""


def image_features(
    image: StoredImage, *, key: bytes, label: int, text: str
) -> dict[str, FeatureValue]:
    """The features of one image: `label` counts from 0, `text` is its class, `key` its raw key."""
    return {
        ENCODED: [image.encoded],
        FORMAT: [image.format.encode()],
        HEIGHT: [image.height],
        WIDTH: [image.width],
        CHANNELS: [image.channels],
        LABEL: [label],
        TEXT: [text.encode()],
        FILENAME: [key],
    }
