"""Validation of image options, and their round trip through the manifest."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from records.errors import UsageError
from records.images import ImageOptions


def test_image_options_defaults_are_valid() -> None:
    ImageOptions().validate()


@pytest.mark.parametrize(
    "options",
    [
        {"resize": (1, 1)},
        {"resize": (224, 224), "store": "raw"},
        {"resize": (10, 20), "fit": "pad"},
        {"background": "00ff7F"},
        {"max_pixels": 178_956_970},
        {"jpeg_quality": 1},
        {"jpeg_quality": 100},
    ],
)
def test_image_options_allowed_values_are_valid(options: dict[str, Any]) -> None:
    ImageOptions(**options).validate()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"store": "raw"}, "--store raw needs a size; add --resize"),
        ({"fit": "crop"}, "--fit crop needs a size"),
        ({"background": "white"}, "six hex digits"),
        ({"background": "#FFFFF"}, "six hex digits"),
        ({"background": "FFFFFF\n"}, "six hex digits"),
        ({"max_pixels": 0}, "--max-pixels is out of range"),
        ({"max_pixels": 178_956_971}, "--max-pixels is out of range"),
        ({"jpeg_quality": 0}, "--jpeg-quality is out of range"),
        ({"jpeg_quality": 101}, "--jpeg-quality is out of range"),
        ({"jpeg_quality": True}, "--jpeg-quality is out of range"),
        ({"resize": (0, 5)}, "--resize is out of range"),
        ({"resize": (5, 65_501)}, "--resize is out of range"),
        ({"resize": (20_000, 20_000)}, "--resize has more pixels"),
        ({"check": "none"}, "--check has an unknown value"),
        ({"store": "gif"}, "--store has an unknown value"),
        ({"fit": "fill"}, "--fit has an unknown value"),
        ({"channels": 4}, "--channels has an unknown value"),
    ],
)
def test_image_options_invalid_value_raises_one_line_usage_error(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        ImageOptions(**options).validate()
    assert "\n" not in str(caught.value)


def test_image_options_json_round_trip_is_equal() -> None:
    options = ImageOptions(resize=(3, 4), fit="pad", background="102030")
    again = msgspec.json.decode(msgspec.json.encode(options), type=ImageOptions)
    assert again == options
    assert again.background_rgb == (16, 32, 48)


def test_image_options_unknown_json_field_raises_validation_error() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"rotate": true}', type=ImageOptions)
