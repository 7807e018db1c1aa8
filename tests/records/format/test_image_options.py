"""Options: what is refused before anything starts, and that they survive the manifest."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from records.errors import UsageError
from records.images import ImageOptions


def test_the_defaults_are_valid() -> None:
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
def test_these_are_valid(options: dict[str, Any]) -> None:
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
        ({"resize": (20_000, 20_000)}, "--resize asks for more pixels"),
        ({"check": "none"}, "--check has an unknown value"),
        ({"store": "gif"}, "--store has an unknown value"),
        ({"fit": "fill"}, "--fit has an unknown value"),
        ({"channels": 4}, "--channels has an unknown value"),
    ],
)
def test_these_are_refused_in_one_line(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        ImageOptions(**options).validate()
    assert "\n" not in str(caught.value)


def test_options_pass_through_json() -> None:
    options = ImageOptions(resize=(3, 4), fit="pad", background="102030")
    again = msgspec.json.decode(msgspec.json.encode(options), type=ImageOptions)
    assert again == options
    assert again.background_rgb == (16, 32, 48)


def test_unknown_options_are_not_ignored() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"rotate": true}', type=ImageOptions)
