"""Features of the Example of a stored image."""

from __future__ import annotations

from records.format import schema
from records.format.example import FeatureValue
from records.images.normalize import NormalizedImage


def image_features(
    image: NormalizedImage, *, key: bytes, label: int, class_name: str
) -> dict[str, FeatureValue]:
    """Return the features of an image; `label` counts from 0."""
    return {
        schema.ENCODED: [image.encoded],
        schema.FORMAT: [image.format.encode()],
        schema.HEIGHT: [image.height],
        schema.WIDTH: [image.width],
        schema.CHANNELS: [image.channels],
        schema.LABEL: [label],
        schema.TEXT: [class_name.encode()],
        schema.FILENAME: [key],
    }
