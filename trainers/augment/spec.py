"""Augmentation specifications such as `flip,rotate=45,zoom=0.5`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

import msgspec

from records.arguments import build_options
from records.errors import UsageError
from trainers.options import Augmentation, TrainOptions

NOTHING = "none"
"""The word for no augmentation."""

_FIELDS = {
    "flip": "flip",
    "rotate": "rotate_degrees",
    "shift": "shift",
    "zoom": "zoom",
    "contrast": "contrast",
    "brightness": "brightness",
    "crop": "crop",
    "saturation": "saturation",
    "hue": "hue",
    "erase": "erase",
    "randaugment": "randaugment",
    "trivialaugment": "trivialaugment",
    "mixup": "mixup",
    "cutmix": "cutmix",
}
# Defaults for words without a value. Rotating a digit or a road sign can change its class, so the
# user must specify the angle.
_ALONE: dict[str, str | float] = {
    "flip": "horizontal",
    "crop": 0.08,
    "erase": 0.25,
    "randaugment": 9.0,
    "trivialaugment": 1.0,
    "mixup": 0.2,
    "cutmix": 1.0,
}
_FLIPS = ("horizontal", "vertical", "both")


def parse_augmentation(text: str) -> Augmentation:
    """Parse a specification: items `WORD` or `WORD=VALUE`, separated by commas.

    Raises:
        UsageError: a word is unknown, repeated, or has an invalid value.
    """
    if text.strip() == NOTHING:
        return Augmentation()
    values: dict[str, object] = {}
    for item in text.split(","):
        word, equals, value = (part.strip() for part in item.partition("="))
        _require_word(word)
        if _FIELDS[word] in values:
            raise UsageError(f"--augment: {word} is repeated", got=repr(text))
        values[_FIELDS[word]] = _read_value(word, value if equals else None)
    return msgspec.convert(values, Augmentation)


def to_augmentation(augment: str | Augmentation | Mapping[str, Any] | None) -> Augmentation:
    """Return the augmentation of an argument.

    Args:
        augment: a specification; the changes themselves, also as a mapping by the names of the
            attributes or by the words of a specification; or None.

    Raises:
        UsageError: the argument has another type, or `parse_augmentation` refuses it.
    """
    if augment is None:
        return Augmentation()
    if isinstance(augment, str):
        return parse_augmentation(augment)
    if isinstance(augment, Mapping):
        named = {_FIELDS.get(str(key), key): value for key, value in augment.items()}
        return build_options(TrainOptions, {"augment": named}).augment
    if isinstance(augment, Augmentation):
        return augment
    raise UsageError(
        "argument augment: not a specification",
        expected='a text such as "flip,rotate=20"',
        got=type(augment).__name__,
    )


def check_colors(augmentation: Augmentation, channels: int) -> None:
    """Check that changes of colors fit the images. Raises UsageError."""
    if channels == 1 and (augmentation.saturation or augmentation.hue):
        raise UsageError(
            "--augment: the images are gray, and have neither saturation nor hue",
            got=format_augmentation(augmentation),
            hint="omit saturation and hue",
        )


def format_augmentation(augmentation: Augmentation) -> str:
    """Return the specification that `parse_augmentation` parses to this augmentation."""
    items = [
        f"{word}={str(value).removesuffix('.0')}"
        for word, field in _FIELDS.items()
        if (value := getattr(augmentation, field)) != getattr(Augmentation(), field)
    ]
    return ",".join(items) or NOTHING


def _require_word(word: str) -> None:
    if word in _FIELDS:
        return
    close = get_close_matches(word.lower(), _FIELDS, n=1)
    raise UsageError(
        "--augment: empty word" if not word else f"--augment: unknown word {word!r}",
        expected=f"one or more of {', '.join(_FIELDS)}; or only {NOTHING}",
        hint=f"did you mean {close[0]}?" if close else None,
    )


def _read_value(word: str, text: str | None) -> object:
    if text is None and word in _ALONE:
        return _ALONE[word]
    value = text if word == "flip" else _read_number(text)
    try:
        # One field at a time, so that the error belongs to this word.
        msgspec.convert({_FIELDS[word]: value}, Augmentation)
    except msgspec.ValidationError as error:
        raise UsageError(
            f"--augment: invalid value for {word}" if text else f"--augment: {word} needs a value",
            expected=_describe_values(word),
            got=repr(text) if text else None,
            hint=_suggest_value(word, text),
        ) from error
    return value


def _read_number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    # The bounds of msgspec do not exclude NaN.
    return number if math.isfinite(number) else None


def _describe_values(word: str) -> str:
    if word == "flip":
        return f"{word}={' or '.join(_FLIPS)}"
    kind: Any = _field_type(_FIELDS[word])
    least = f"{kind.ge:g} <=" if kind.ge is not None else f"{kind.gt:g} <"
    most = f"<= {kind.le:g}" if kind.le is not None else f"< {kind.lt:g}"
    unit = " degrees" if word == "rotate" else ""
    return f"{word}=NUMBER with {least} NUMBER {most}{unit}"


def _field_type(name: str) -> msgspec.inspect.Type:
    info = msgspec.inspect.type_info(Augmentation)
    assert isinstance(info, msgspec.inspect.StructType)
    return next(field.type for field in info.fields if field.name == name)


def _suggest_value(word: str, text: str | None) -> str | None:
    close = get_close_matches((text or "").lower(), _FLIPS, n=1) if word == "flip" else []
    return f"did you mean {word}={close[0]}?" if close else None
