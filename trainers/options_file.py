"""Options of a run as TOML: `options.toml`, and files of `--config`.

model = "mobilenet_v2"
image_size = [180, 240]

[augment]
flip = "horizontal"
"""

from __future__ import annotations

import json
import re
from difflib import get_close_matches
from typing import Any

import msgspec

from records.errors import InputNotFoundError, UsageError
from records.storage import read_named_file
from records.text.escaping import escape_for_display
from records.user_text import decode_toml, place_of_key
from trainers.options import Amount, TrainOptions

MAX_FILE_BYTES = 1 << 20
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_HEADER = """\
# The options of this run. They train another run with:
#   shardmill train DATASET RUN --config options.toml
"""


def encode_options(options: TrainOptions) -> bytes:
    """Return the options as TOML, tables last; options without a value are omitted."""
    values = msgspec.structs.asdict(options)
    tables = {
        name: msgspec.to_builtins(value)
        for name, value in values.items()
        if isinstance(value, msgspec.Struct | dict)
    }
    lines = [
        f"{name} = {_format_value(value)}"
        for name, value in values.items()
        if name not in tables and value is not None
    ]
    for name, table in tables.items():
        items = ((_format_key(key), _format_value(value)) for key, value in table.items())
        lines += ["", f"[{name}]", *(f"{key} = {value}" for key, value in items)]
    text = _HEADER + "\n".join(lines) + "\n"
    return text.encode("utf-8", "backslashreplace")


def _format_key(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else _format_value(key)


def _format_value(value: str | float | bool | tuple[int | str, ...]) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        # JSON escapes what TOML requires, except for DEL.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return json.dumps(value) if isinstance(value, tuple) else repr(value)


def read_options(location: str) -> dict[str, tuple[Any, str]]:
    """Return the values in a TOML file by the names of the options, each with its place.

    The keys may have dashes or underscores. The values are not checked.

    Raises:
        InputNotFoundError: the file does not exist.
        UsageError: the file is not TOML, is too large, or has an unknown key.
    """
    try:
        content = read_named_file(location, most_bytes=MAX_FILE_BYTES)
    except FileNotFoundError as error:
        raise InputNotFoundError(
            "options not found", path=location, expected="a TOML file, such as RUN/options.toml"
        ) from error
    return decode_options(content, path=location)


def decode_options(content: bytes, *, path: str) -> dict[str, tuple[Any, str]]:
    """Return the values in the content of a file; see `read_options`.

    Raises:
        UsageError: the file is not TOML, is too large, or has an unknown key.
    """
    text, values = decode_toml(
        content,
        path=path,
        what="the file of options",
        most_bytes=MAX_FILE_BYTES,
        hint='write one option per line, as in model = "cnn"; a run has them in options.toml',
    )
    found: dict[str, tuple[Any, str]] = {}
    for key, value in values.items():
        place = place_of_key(path, text, key)
        name = option_name(key, place=place)
        if name in found:
            raise UsageError("an option is repeated", path=place, got=key)
        found[name] = value, place
    return found


def option_name(key: str, *, place: str) -> str:
    """Return the name of the option that a key stands for, with dashes or underscores.

    Raises:
        UsageError: the option is unknown; the message contains a similar one.
    """
    name = key.strip().replace("-", "_")
    names = TrainOptions.__struct_fields__
    if name in names:
        return name
    near = get_close_matches(name.lower(), names, n=1)
    raise UsageError(
        "unknown option of train",
        path=place,
        got=key,
        hint=f"write {near[0]}" if near else "`shardmill train --help` lists the options",
    )


def read_class_weights(location: str) -> dict[str, float]:
    """Return the weights in a TOML file by the names of the classes, such as `daisy = 2.5`.

    Raises:
        InputNotFoundError: the file does not exist.
        UsageError: the file is not TOML, is too large, is empty, or has a value that is not a
            weight.
    """
    try:
        content = read_named_file(location, most_bytes=MAX_FILE_BYTES)
    except FileNotFoundError as error:
        raise InputNotFoundError(
            "class weights not found",
            path=location,
            expected="none, balanced, or a TOML file with a line such as daisy = 2.5",
        ) from error
    text, values = decode_toml(
        content,
        path=location,
        what="the file of class weights",
        most_bytes=MAX_FILE_BYTES,
        hint="write a line for each class, such as daisy = 2.5",
    )
    if not values:
        raise UsageError("the file has no class weights", path=location)
    weights: dict[str, float] = {}
    for name, value in values.items():
        try:
            weights[name] = msgspec.convert(value, Amount)
        except msgspec.ValidationError as error:
            raise UsageError(
                "not a class weight",
                path=place_of_key(location, text, name),
                expected="a number from 0",
                got=escape_for_display(str(value)),
            ) from error
    return weights
