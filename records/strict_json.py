"""Canonical, versioned JSON, and strict decoding of untrusted JSON and MessagePack.

Every defect in untrusted bytes raises msgspec.DecodeError. This module converts the other errors of
the msgspec decoders to it: UnicodeDecodeError (a flipped bit in a name) and RecursionError
(brackets nested deeper than the interpreter stack). A name that an object has twice is a defect
too: readers differ in which of the values they take.
"""

from __future__ import annotations

import json
import re
import threading
from typing import Any, TypeVar

import msgspec

from records.errors import CorruptDataError

T = TypeVar("T")


class _Versioned(msgspec.Struct):
    format_version: int


def encode_canonical(value: object) -> bytes:
    """Return canonical JSON: sorted keys, an indent of 2 and a final line feed."""
    return msgspec.json.format(msgspec.json.encode(value, order="sorted"), indent=2) + b"\n"


def decode_versioned(
    content: bytes, kind: type[T], *, version: int, oldest: int | None = None, what: str, path: str
) -> T:
    """Return the value in a JSON file with a format version.

    Args:
        content: JSON with a field `format_version`.
        kind: a struct that forbids unknown fields.
        version: the latest format version that this program reads.
        oldest: the oldest format version that this program reads; by default, the latest.
        what: the kind of file, for messages, such as `a manifest`.
        path: the file, for messages.

    Raises:
        CorruptDataError: the content is invalid, or another version of shardmill wrote the file.
    """
    try:
        # Check the version first: a later version may have fields that `kind` does not have.
        found = _decode(content, _Versioned).format_version
        if found > version:
            raise CorruptDataError(
                f"this is {what} of a later version",
                path=path,
                expected=f"format version {version} or less",
                got=found,
                hint="upgrade shardmill",
            )
        if found < (version if oldest is None else oldest):
            raise CorruptDataError(
                f"this is {what} of an earlier version",
                path=path,
                expected=f"format version {version}",
                got=found,
                hint="make it again with this version of shardmill",
            )
        return decode_json(content, kind)
    except msgspec.DecodeError as error:
        raise CorruptDataError(f"this is not {what}", path=path, got=str(error)) from error


class LoneSurrogateError(msgspec.DecodeError):
    """A string has one half of a surrogate pair without the other half: it is not text."""


def decode_json(content: bytes, kind: type[T]) -> T:
    """Return a value of `kind` from JSON. Raises only msgspec.DecodeError."""
    value = _decode(content, kind)
    try:
        _PAIRS.raw_decode(content.decode().lstrip())
    except _DuplicateNameError as error:
        raise msgspec.DecodeError(_describe_duplicate(content.decode())) from error
    except (UnicodeDecodeError, RecursionError) as error:
        raise msgspec.DecodeError(str(error)) from error
    return value


def decode_json_lines(content: bytes, kind: type[T]) -> list[T]:
    """Return a value of `kind` from each line that is not blank. Raises as `decode_json`."""
    return [decode_json(line, kind) for line in content.splitlines() if line.strip()]


_DECODERS: dict[object, msgspec.json.Decoder[Any]] = {}
_MAKING = threading.Lock()


def _decoder_of(kind: type[T]) -> msgspec.json.Decoder[T]:
    """Return the decoder of a type, which is made once.

    If several threads make the first decoders of one type, msgspec ends the process: a thread uses
    the description of the type that another one has not completed.
    """
    found = _DECODERS.get(kind)
    if found is None:
        with _MAKING:
            found = _DECODERS.setdefault(kind, msgspec.json.Decoder(kind))
    return found


def _decode(content: bytes, kind: type[T]) -> T:
    """Return a value of `kind`, without a search for names that an object has twice."""
    try:
        return _decoder_of(kind).decode(content)
    except (UnicodeDecodeError, RecursionError) as error:
        raise msgspec.DecodeError(str(error)) from error
    except msgspec.DecodeError as error:
        # The message of msgspec depends on what follows: "Input data was truncated", for example.
        lone = next((found for found in _ESCAPE.finditer(content) if found[1]), None)
        if lone is None:
            raise
        line = content.count(b"\n", 0, lone.start()) + 1
        place = f"line {line}: " if b"\n" in content.strip() else ""
        what = f"{place}{lone[0].decode()} is one half of a surrogate pair, not a character"
        raise LoneSurrogateError(what) from error


_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
"""An escape in JSON; group 1 is a surrogate without its other half."""


class _DuplicateNameError(Exception):
    """An object has a name twice."""


def _require_distinct(pairs: list[tuple[str, object]]) -> None:
    if len({name for name, _ in pairs}) < len(pairs):
        raise _DuplicateNameError


# Numbers are not converted: msgspec has read them already.
_PAIRS = json.JSONDecoder(object_pairs_hook=_require_distinct, parse_int=len, parse_float=len)
_TOKEN = re.compile(r'("(?:[^"\\]|\\.)*")\s*(:)?|[{}]', re.DOTALL)


def _describe_duplicate(text: str) -> str:
    """Return a message with the first name that an object in valid JSON has twice, and its line."""
    objects: list[set[str]] = []
    for token in _TOKEN.finditer(text):
        if token[0] == "{":
            objects.append(set())
        elif token[0] == "}":
            objects.pop()
        elif token[2]:
            name = json.loads(token[1])
            if name in objects[-1]:
                line = text.count("\n", 0, token.start()) + 1
                place = f"line {line}: " if "\n" in text else ""
                return f"{place}an object has the name {name!r} twice"
            objects[-1].add(name)
    raise AssertionError("no name is twice in an object")


def decode_msgpack(content: bytes, kind: type[T]) -> T:
    """Return a value of `kind` from MessagePack. Raises as `decode_json`."""
    try:
        return msgspec.msgpack.decode(content, type=kind)
    except (UnicodeDecodeError, RecursionError) as error:
        raise msgspec.DecodeError(str(error)) from error
