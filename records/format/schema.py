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
    LABEL: int,
    TEXT: bytes,
    FILENAME: bytes,
}
"""The features of a record, and the type of their single values."""


class FeatureNames(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Names of the features that a dataset needs, each with one value per record.

    Args:
        image: bytes, a complete JPEG or PNG file.
        label: int64, the number of the class; None if records have only its name.
        text: bytes, the name of the class; None if records have only its number.
        key: bytes, unique per record; None if records have no key.
    """

    image: str
    label: str | None
    text: str | None
    key: str | None


DEFAULT_FEATURES = FeatureNames(ENCODED, LABEL, TEXT, FILENAME)
"""The names in records of a conversion."""
