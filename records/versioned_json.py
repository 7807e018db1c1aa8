"""JSON files that carry their format's version: canonical when written, strict when read."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from records.errors import DamagedError
from records.untrusted import decode_json

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
        DamagedError: it is something else, or a later version wrote it.
    """
    try:
        # Before the rest, for a later version may have fields that are unknown here.
        found = decode_json(content, _Versioned).format_version
        if found > version:
            raise DamagedError(
                f"this is {what} of a later version",
                path=path,
                expected=f"format version {version} or less",
                got=found,
                hint="upgrade shardmill",
            )
        return decode_json(content, kind)
    except msgspec.DecodeError as error:
        raise DamagedError(f"this is not {what}", path=path, got=str(error)) from error
