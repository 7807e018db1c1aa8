"""The features of a stored image, as its Example holds them."""

from __future__ import annotations

from records.format import schema
from records.format.example import FeatureValue
from records.images.normalize import NormalizedImage


def image_features(
    image: NormalizedImage, *, key: bytes, label: int, text: str
) -> dict[str, FeatureValue]:
    """The features of one image: `label` counts from 0, `text` is its class, `key` its raw key."""
    return {
        schema.ENCODED: [image.encoded],
        schema.FORMAT: [image.format.encode()],
        schema.HEIGHT: [image.height],
        schema.WIDTH: [image.width],
        schema.CHANNELS: [image.channels],
        schema.LABEL: [label],
        schema.TEXT: [text.encode()],
        schema.FILENAME: [key],
    }
