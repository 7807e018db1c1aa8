"""JSON and MessagePack that anybody may have written: whatever is wrong with it is one error.

msgspec's own decoders let UnicodeDecodeError and RecursionError through as well: a flipped bit in a
name, or brackets nested deeper than the interpreter's stack.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

T = TypeVar("T")


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
