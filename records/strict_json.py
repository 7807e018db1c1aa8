"""JSON files that carry their format's version: canonical when written, strict when read.

JSON and MessagePack that anybody may have written: whatever is wrong with it is one error.

msgspec's own decoders let UnicodeDecodeError and RecursionError through as well: a flipped bit in a
name, or brackets nested deeper than the interpreter's stack.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

from records.errors import CorruptDataError

T = TypeVar("T")


class _Versioned(msgspec.Struct):
    format_version: int


def encode_canonical(value: object) -> bytes:
    """The same bytes for the same value: keys sorted, indented by two, a line feed at the end."""
    return msgspec.json.format(msgspec.json.encode(value, order="sorted"), indent=2) + b"\n"


def decode_versioned(content: bytes, kind: type[T], *, version: int, what: str, path: str) -> T:
    """A value of `kind` from its bytes.

    Args:
        content: JSON with a field `format_version`.
        kind: a struct that forbids unknown fields.
        version: the latest format version this program reads.
        what: what the file is, for messages: `a manifest`.
        path: the file, for messages.

    Raises:
        CorruptDataError: it is something else, or a later version wrote it.
    """
    try:
        # Before the rest, for a later version may have fields that are unknown here.
        found = decode_json(content, _Versioned).format_version
        if found > version:
            raise CorruptDataError(
                f"this is {what} of a later version",
                path=path,
                expected=f"format version {version} or less",
                got=found,
                hint="upgrade shardmill",
            )
        return decode_json(content, kind)
    except msgspec.DecodeError as error:
        raise CorruptDataError(f"this is not {what}", path=path, got=str(error)) from error


def decode_json(content: bytes, kind: type[T]) -> T:
    """A value of `kind` from JSON. Raises msgspec.DecodeError, and nothing else."""
    try:
        return msgspec.json.decode(content, type=kind)
    except (UnicodeDecodeError, RecursionError) as error:
        raise msgspec.DecodeError(str(error)) from error


def decode_json_lines(content: bytes, kind: type[T]) -> list[T]:
    """A value of `kind` from every line. Raises as `decode_json`."""
    return [decode_json(line, kind) for line in content.splitlines() if line.strip()]


def decode_msgpack(content: bytes, kind: type[T]) -> T:
    """A value of `kind` from MessagePack. Raises as `decode_json`."""
    try:
        return msgspec.msgpack.decode(content, type=kind)
    except (UnicodeDecodeError, RecursionError) as error:
        raise msgspec.DecodeError(str(error)) from error
