"""Paths of extracted images."""

from __future__ import annotations

import os
import re
from pathlib import Path

from records.dataset import Record
from records.errors import CorruptDataError
from records.format.layout import parse_split
from records.text.escaping import escape_for_display
from records.text.keys import key_from_text
from records.text.names import class_name

METADATA = "metadata.jsonl"
"""The file with the labels and the columns of extracted images."""
_SUFFIXES = {"jpeg": (b".jpg", b".jpeg", b".jpe", b".jfif"), "png": (b".png",), "raw": (b".png",)}


def relative_path(record: Record, *, in_class_folder: bool, as_text: bool) -> Path:
    """Return the path of an image, relative to the folder of its split.

    Args:
        record: the image.
        in_class_folder: whether the first folder is that of its class.
        as_text: whether the path is valid UTF-8; otherwise, it has the bytes of the key.

    Raises:
        CorruptDataError: the key leads out of the folder, or the record has an unknown format.
    """
    # A key is a path or a URL; the protocol of a URL is removed.
    parts = key_from_text(record.key).rpartition(b"://")[2].lstrip(b"/").split(b"/")
    if in_class_folder:
        parts = _in_class_folder(parts, record.class_name)
    else:
        while len(parts) > 1 and parse_split(parts[0]):
            parts = parts[1:]
    if as_text and parts[0].lower() == METADATA.encode():
        parts[0] += b"~2"  # the file has this name
    if any(part in {b"", b".", b".."} or b"\0" in part for part in parts):
        raise CorruptDataError("a record key leads out of the class folder", got=record.key)
    suffixes = _SUFFIXES.get(record.format)
    if suffixes is None:
        raise CorruptDataError(
            "a record has an unknown format", got=escape_for_display(record.format)
        )
    if not parts[-1].lower().endswith(suffixes):
        parts[-1] += suffixes[0]
    return Path(*(os.fsdecode(_to_utf8(part) if as_text else part) for part in parts))


def _in_class_folder(parts: list[bytes], name: str) -> list[bytes]:
    """Return the class, and the parts of a path below its split and class folders."""
    if parse_split(parts[0]) and len(parts) > 2 and class_name(parts[1]) == name:
        parts = parts[1:]
    if len(parts) > 1 and class_name(parts[0]) == name:
        parts = parts[1:]
    # A class of an image list may have any name; a slash in the name does not separate folders.
    return [name.replace("/", "%2F").encode(), *parts]


def _to_utf8(part: bytes) -> bytes:
    """Return a part of a path with `%FF` in place of each byte that is not UTF-8."""
    text = part.decode("utf-8", "surrogateescape")
    return re.sub(r"[\udc80-\udcff]", lambda it: f"%{ord(it[0]) - 0xDC00:02X}", text).encode()
