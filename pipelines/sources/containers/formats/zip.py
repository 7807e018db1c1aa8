"""Entries of ZIP archives, read from the central directory."""

from __future__ import annotations

import re
import stat
import struct
from array import array
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import xxhash

from pipelines.sources.containers.byte_window import ContainerBytes, damaged
from pipelines.sources.containers.entry import Entry, clean_name, name_problem, refuse
from pipelines.sources.containers.member import Encoding, Member
from pipelines.sources.containers.read import LOCAL_HEADER

_END_MAGIC = b"PK\5\6"
_END = struct.Struct("<4s4H2LH")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR_64 = struct.Struct("<4sLQL")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_MOST_COMMENT_BYTES = 0xFFFF
_UNKNOWN = 0xFFFFFFFF
_ENCRYPTED, _UTF8, _MASKED = 1, 1 << 11, 1 << 13
_STORED, _DEFLATED = 0, 8
_FAT, _UNIX, _NTFS = 0, 3, 10
_MOST_DEFLATED = 1032
"""The largest factor by which deflate shortens a file."""
_SPECIAL = {
    stat.S_IFLNK: "it is a symbolic link",
    stat.S_IFCHR: "it is a device",
    stat.S_IFBLK: "it is a device",
    stat.S_IFIFO: "it is a named pipe",
    stat.S_IFSOCK: "it is a socket",
}


class _Directory(NamedTuple):
    """The central directory: position, size, entries, and the bytes before the archive."""

    offset: int
    size_bytes: int
    entries: int
    shift: int


def list_zip(data: ContainerBytes) -> Iterator[Entry]:
    """Yield the entries of a ZIP archive, in the order of its central directory.

    Raises:
        CorruptDataError: the central directory is missing or damaged, or members overlap.
    """
    directory = _find_directory(data)
    at, end = directory.offset, directory.offset + directory.size_bytes
    ranges = array("q")
    count = 0
    while at < end:
        header = data.read(at, _ENTRY.size)
        if len(header) < _ENTRY.size or not header.startswith(b"PK\1\2"):
            raise damaged(data, "its central directory ends early", at)
        fields = _ENTRY.unpack(header)
        sizes = fields[10:13]
        names = data.read(at + _ENTRY.size, sum(sizes))
        if len(names) < sum(sizes):
            raise damaged(data, "its central directory ends early", at)
        at += _ENTRY.size + len(names)
        count += 1
        entry = _read_entry(data, fields, names, directory.shift)
        if entry.member is not None:
            ranges.extend((entry.member.offset, entry.member.offset + entry.member.length))
        yield entry
    # Some programs write only the last 16 bits of the number.
    if at != end or (count - directory.entries) & 0xFFFF:
        raise damaged(
            data, "its central directory and its end record have different numbers of members"
        )
    _require_apart(data, ranges, directory.offset)


def _find_directory(data: ContainerBytes) -> _Directory:
    size_bytes = data.container.size_bytes
    start = max(0, size_bytes - _END.size - _MOST_COMMENT_BYTES)
    tail = data.read(start, size_bytes - start)
    at = _find_end(tail)
    if at is None:
        raise damaged(data, "it has no central directory, so it is cut short or not a ZIP archive")
    _, disk, _, _, entries, directory_bytes, offset, _ = _END.unpack_from(tail, at)
    end = start + at
    locator = data.read(max(0, end - _LOCATOR_64.size), _LOCATOR_64.size)
    if locator.startswith(b"PK\6\7") and len(locator) == _LOCATOR_64.size:
        _, disk, position, _ = _LOCATOR_64.unpack(locator)
        found, end = _read_end_64(data, position, end - _LOCATOR_64.size)
        entries, directory_bytes, offset = found
    if disk not in {0, 0xFFFF}:
        raise damaged(data, "it is a part of an archive of several files")
    shift = end - directory_bytes - offset
    if shift < 0 or offset + shift + directory_bytes > size_bytes:
        raise damaged(data, "its central directory is not at the position in its end record")
    return _Directory(offset + shift, directory_bytes, entries, shift)


def _find_end(tail: bytes) -> int | None:
    """Return the position of the end record: the one whose comment ends the file, or the last."""
    ends = [it.start() for it in re.finditer(re.escape(_END_MAGIC), tail[: 4 - _END.size])]
    exact = (at for at in ends if at + _END.size + _END.unpack_from(tail, at)[-1] == len(tail))
    return next(exact, ends[-1] if ends else None)


def _read_end_64(
    data: ContainerBytes, position: int, locator: int
) -> tuple[tuple[int, int, int], int]:
    # With bytes before the archive, the position is wrong, and the record is before the locator.
    for at in (position, locator - _END_64.size):
        block = data.read(at, _END_64.size) if 0 <= at <= locator - _END_64.size else b""
        if block.startswith(b"PK\6\6"):
            fields = _END_64.unpack(block)
            return (fields[7], fields[8], fields[9]), at
    raise damaged(data, "the end of its central directory is damaged", locator)


def _read_entry(data: ContainerBytes, fields: tuple[int, ...], names: bytes, shift: int) -> Entry:
    system, flags, method = fields[1] >> 8, fields[3], fields[4]
    crc, stored_bytes, size_bytes = fields[7:10]
    name_bytes, extra_bytes = fields[10:12]
    mode = fields[15] >> 16 if system == _UNIX else 0
    offset = fields[16]
    name = _decode_name(names[:name_bytes], flags, system)
    extra = names[name_bytes : name_bytes + extra_bytes]
    size_bytes, stored_bytes, offset = _read_extra_64(extra, size_bytes, stored_bytes, offset)
    key = clean_name(name)
    if name.endswith(b"/") and not size_bytes:
        problem = name_problem(key) if key else None
        return refuse(name, problem) if problem else Entry(key)
    if problem := (
        name_problem(key)
        or _SPECIAL.get(stat.S_IFMT(mode))
        or _content_problem(flags, method, stored_bytes, size_bytes)
        or _position_problem(offset + shift + stored_bytes, data)
    ):
        return refuse(name, problem)
    encoding: Encoding = "zip-deflated" if method == _DEFLATED else "zip"
    member = Member(data.number, offset + shift, stored_bytes, encoding, crc)
    fingerprint = xxhash.xxh3_64_intdigest(b"%d %d" % (crc, size_bytes))
    return Entry(key, size_bytes, fingerprint, member)


def _content_problem(flags: int, method: int, stored_bytes: int, size_bytes: int) -> str | None:
    if flags & (_ENCRYPTED | _MASKED):
        return "it is encrypted"
    if method not in {_STORED, _DEFLATED}:
        return f"it is compressed with method {method} of ZIP, and only deflate is read"
    most_bytes = stored_bytes if method == _STORED else _MOST_DEFLATED * (stored_bytes + 1)
    if size_bytes > most_bytes or (method == _STORED and size_bytes != stored_bytes):
        return "its declared size is impossible"
    return None


def _position_problem(end: int, data: ContainerBytes) -> str | None:
    # Fields of 64 bits could be larger than any number of an array.
    return "its declared position is impossible" if end > data.container.size_bytes else None


def _decode_name(name: bytes, flags: int, system: int) -> bytes:
    """Return the name in UTF-8. Archives of Windows have names in code page 437, and backslashes.

    Many programs write UTF-8 without the flag for it.
    """
    if not flags & _UTF8:
        try:
            name.decode()
        except UnicodeDecodeError:
            name = name.decode("cp437").encode()
    is_windows = system in {_FAT, _NTFS} and b"/" not in name
    return name.replace(b"\\", b"/") if is_windows else name


def _read_extra_64(
    extra: bytes, size_bytes: int, stored_bytes: int, offset: int
) -> tuple[int, int, int]:
    """Return the sizes and the offset; fields of 32 bits are continued in an extra field."""
    values = [size_bytes, stored_bytes, offset]
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, at)
        if kind == 1:
            field = extra[at + 4 : at + 4 + length]
            wide = iter(struct.unpack(f"<{len(field) // 8}Q", field[: len(field) // 8 * 8]))
            values = [next(wide, value) if value == _UNKNOWN else value for value in values]
            break
        at += 4 + length
    return values[0], values[1], values[2]


def _require_apart(data: ContainerBytes, ranges: array[int], directory: int) -> None:
    """Check that no two members share bytes: together they could expand to any size."""
    pairs = np.frombuffer(ranges, np.int64).reshape(-1, 2)
    pairs = pairs[np.argsort(pairs[:, 0], kind="stable")]
    starts, ends = pairs[:, 0], pairs[:, 1] + LOCAL_HEADER.size
    limits = np.append(starts[1:], directory)[: len(ends)]
    overlapping = np.flatnonzero((ends > limits) | (starts < 0))
    if len(overlapping):
        raise damaged(data, "two of its members overlap", int(starts[overlapping[0]]))
