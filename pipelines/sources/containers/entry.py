"""Entries of containers: files, folders, and refused entries."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import NamedTuple

from pipelines.sources.cells import Row
from pipelines.sources.containers.member import Member
from records.format.layout import SplitName, parse_split
from records.images import IMAGE_EXTENSIONS, sniff
from records.storage.untrusted_file import MAX_KEY_BYTES

_EXTENSIONS = frozenset(extension.encode() for extension in IMAGE_EXTENSIONS)
_NUMBERS = re.compile(rb"[-_.]?\d+(?:[-_.]of[-_.]\d+)?$")
"""Numbers of shards: `train-00000-of-00002`, `val_0001`."""
_SPLITS: dict[bytes, SplitName] = {b"t10k": "test"}
_SPLITS |= {b"data_batch_%d" % number: "train" for number in range(1, 6)}
"""Names of files of MNIST and CIFAR-10."""
_SNIFFED_BYTES = 64
_NAMED = {"jpeg": ".jpg", "tiff": ".tif"}
"""Extensions that differ from the name of the format."""
_NO_VALUES: Row = MappingProxyType({})
_DRIVE = re.compile(rb"[A-Za-z]:")


Label = str | tuple[str, ...] | int
"""A label or several labels, or the number of a class: the class name has leading zeros."""


class Entry(NamedTuple):
    """One entry of a container.

    Attributes:
        key: path of the entry, without `./` at its beginning; the raw name if it is refused.
        size_bytes: size of the file.
        fingerprint: a number that changes if the file is modified; a uint64.
        member: place of the file; None for a folder or a refused entry.
        refused: the reason why the entry is not read, None for files and folders.
        inner: the name of the archive inside the container that the entry is in, without suffix;
            empty if it is in none.
        label: the label that the container gives the file; None if it gives none.
        split: the split that the container gives the file; None if it gives none.
        fields: the values of the columns and fields to keep, by name.
        class_columns: the columns of classes from which the labels come; empty if they do not.
        problem: the reason why the labels of the file are unknown; None if they are known.
        head: the first bytes of a file in an unpacked container; empty if its name is that of an
            image.
    """

    key: bytes
    size_bytes: int = 0
    fingerprint: int = 0
    member: Member | None = None
    refused: str | None = None
    inner: bytes = b""
    label: Label | None = None
    split: SplitName | None = None
    fields: Row = _NO_VALUES
    class_columns: tuple[str, ...] = ()
    problem: str | None = None
    head: bytes = b""


def refuse(name: bytes, reason: str, inner: bytes = b"") -> Entry:
    """Return an entry that is not read; its name is cut to the longest path."""
    return Entry(name[:MAX_KEY_BYTES], refused=reason, inner=inner)


def clean_name(name: bytes) -> bytes:
    """Return the path of an entry without `./` at its beginning and slashes at its end."""
    while name.startswith(b"./"):
        name = name[2:].lstrip(b"/")
    return name.rstrip(b"/")


def name_problem(name: bytes) -> str | None:
    """Return why a clean path is not taken; None if it is a path inside the container."""
    if len(name) > MAX_KEY_BYTES:
        return f"its path is longer than {MAX_KEY_BYTES:,} bytes"
    if not name or b"\0" in name:
        return "its path is empty or has a zero byte"
    if name.startswith(b"/") or _DRIVE.match(name):
        return "its path is absolute"
    parts = name.split(b"/")
    if b".." in parts:
        return "its path leads out of the container"
    return "a part of its path is empty or a dot" if b"" in parts or b"." in parts else None


def is_image_name(key: bytes) -> bool:
    """Return whether a path ends as the paths of images do."""
    return key[key.rfind(b".") :].lower() in _EXTENSIONS


def split_in_name(name: bytes) -> SplitName | None:
    """Return the split in a name such as `train-00000-of-00002`, `x_test` or `t10k`, or None."""
    known = _SPLITS.get(name.strip(b"-_.").lower())
    words = (name, _NUMBERS.sub(b"", name), *re.split(rb"[-_.]", name))
    found = {split for word in words if (split := parse_split(word))}
    return known or (found.pop() if len(found) == 1 else None)


def image_extension(content: bytes) -> bytes:
    """Return the extension of the format of an image, with a dot; empty if it is unknown."""
    kind = sniff(content[:_SNIFFED_BYTES])
    return b"" if kind is None else _NAMED.get(kind, f".{kind}").encode()
