"""Names and types of the features of a record, as in TF-Slim."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

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
    FILENAME: bytes,
}
"""The type of the single value of each feature of a record, by feature name."""

LABEL_FEATURES: Mapping[str, type] = {LABEL: int, TEXT: bytes}
"""The type of the values of the features with one value per label of a record."""


class FeatureNames(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Names of the features that a dataset needs, each with one value per record.

    Attributes:
        image: the feature with a complete JPEG or PNG file, bytes.
        label: the feature with the class number, int64; None if records have only class names.
        text: the feature with the class name, bytes; None if records have only class numbers.
        key: the feature with the key, bytes, unique per record; None if records have no key.
    """

    image: str
    label: str | None
    text: str | None
    key: str | None


DEFAULT_FEATURES = FeatureNames(ENCODED, LABEL, TEXT, FILENAME)
"""The feature names in records that a conversion writes."""
