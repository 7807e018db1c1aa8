"""The features of a record, by the names that TF-Slim gave them."""

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
"""Each feature and the type of its single value."""


class FeatureNames(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where records have what a dataset needs: names of features, each with one value.

    Args:
        image: bytes, a whole JPEG or PNG.
        label: int64, the class's number; None where only its name is there.
        text: bytes, the class's name; None where only its number is there.
        key: bytes that no two records share; None where there are none.
    """

    image: str
    label: str | None
    text: str | None
    key: str | None


DEFAULT_FEATURES = FeatureNames(ENCODED, LABEL, TEXT, FILENAME)
"""The names in the records of a conversion."""
