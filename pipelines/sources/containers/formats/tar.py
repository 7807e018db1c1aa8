"""Entries of TAR archives, also of archives inside an archive."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

import xxhash

from pipelines.sources.containers.byte_window import ContainerBytes, damaged
from pipelines.sources.containers.entry import Entry, clean_name, name_problem, refuse
from pipelines.sources.containers.member import TAR_HEADER_BYTES, Member

_MOST_NAME_BYTES = 1 << 20
_MOST_PADDING_BLOCKS = 64
_SPECIAL = {
    b"1": "it is a hard link",
    b"2": "it is a symbolic link",
    b"3": "it is a device",
    b"4": "it is a device",
    b"6": "it is a named pipe",
    b"M": "it is continued from another archive",
}
_NO_FILE = {b"V", b"N"}
_FOLDERS = {b"5", b"D"}
_WITHOUT_DATA = {b"1", b"2", b"3", b"4", b"5", b"6"}
_PAX_RECORD = re.compile(rb"(\d{1,10}) ([^=]+)=")
_SUFFIX = b".tar"
_SIGNED = struct.Struct("148b8x356b")
"""Some programs add up bytes with a sign."""
_BLANK_CHECKSUM = 8 * ord(" ")


class _Header(NamedTuple):
    """The fields of one header block that matter."""

    name: bytes
    size_bytes: int
    kind: bytes
    is_continued: bool


def list_tar(data: ContainerBytes) -> Iterator[Entry]:
    """Yield the entries of a TAR archive, and those of archives in it.

    Raises:
        CorruptDataError: a header is damaged.
    """
    archive = _Archive(data, 0, data.end)
    yield from archive.entries()
    if archive.is_followed():
        data.notes.append(
            f"{data.shown}: another archive follows the end of this one, and is not read; tar reads"
            " both with the option --ignore-zeros"
        )


class _Archive:
    """One archive, between two positions of a container."""

    def __init__(
        self, data: ContainerBytes, start: int, end: int | None, inner: bytes = b""
    ) -> None:
        self._data = data
        self._at = start
        self._end = end
        self._inner = inner
        self._global: dict[bytes, bytes] = {}

    def entries(self) -> Iterator[Entry]:
        local: dict[bytes, bytes] = {}
        while (block := self._next_block()) is not None:
            header = self._parse(block)
            header_at = self._at
            data_at = header_at + TAR_HEADER_BYTES
            if header.kind in {b"x", b"X", b"g"}:
                records = _parse_pax(self._read_name(data_at, header.size_bytes))
                (self._global if header.kind == b"g" else local).update(records)
            elif header.kind in {b"L", b"K"}:
                name = self._read_name(data_at, header.size_bytes).partition(b"\0")[0]
                local.update({b"path": name} if header.kind == b"L" else {})
            else:
                options, local = {**self._global, **local}, {}
                yield from self._visit(block, header, options)
                continue
            self._at = data_at + _padded(header.size_bytes)

    def is_followed(self) -> bool:
        """Return whether another archive follows the end, as if both were joined with `cat`."""
        for at in range(
            self._at, self._at + _MOST_PADDING_BLOCKS * TAR_HEADER_BYTES, TAR_HEADER_BYTES
        ):
            is_end = self._end is not None and at + TAR_HEADER_BYTES > self._end
            block = b"" if is_end else self._data.read(at, TAR_HEADER_BYTES)
            if len(block) < TAR_HEADER_BYTES:
                return False
            if block.count(0) < TAR_HEADER_BYTES:
                return parse_header(block) is not None
        return False

    def _next_block(self) -> bytes | None:
        """Return the next header; None at the end of the archive."""
        if self._end is not None and self._at >= self._end:
            return None
        block = self._data.read(self._at, TAR_HEADER_BYTES)
        if not block or block.count(0) == TAR_HEADER_BYTES:
            return None
        if len(block) < TAR_HEADER_BYTES:
            raise damaged(self._data, "it is cut short", self._at)
        return block

    def _parse(self, block: bytes) -> _Header:
        header = parse_header(block)
        if header is None:
            what = "not a header of TAR" if self._at else "it is not a TAR archive"
            raise damaged(self._data, what, self._at)
        return header

    def _read_name(self, offset: int, size_bytes: int) -> bytes:
        if size_bytes > _MOST_NAME_BYTES:
            raise damaged(self._data, "the name of a member has over 1 MiB", offset)
        text = self._data.read(offset, size_bytes)
        if len(text) < size_bytes:
            raise damaged(self._data, "it is cut short", offset)
        return text

    def _visit(self, block: bytes, header: _Header, options: dict[bytes, bytes]) -> Iterator[Entry]:
        """Yield the entry of a header, or the entries of an inner archive; move after them."""
        header_at = self._at
        size_bytes = _pax_size(options, header.size_bytes)
        if size_bytes is None:
            raise damaged(self._data, "a member has an invalid size", header_at)
        name = options.get(b"path", header.name)
        key = clean_name(name)
        data_at = header_at + TAR_HEADER_BYTES
        if header.kind == b"S" and header.is_continued:
            data_at = self._skip_sparse_map(data_at)
        self._at = data_at + (_padded(size_bytes) if header.kind not in _WITHOUT_DATA else 0)
        if header.kind in _NO_FILE or key in {b"", b"."}:
            return
        is_named_folder = header.kind == b"\0" and name.endswith(b"/")  # in the oldest archives
        if problem := name_problem(key):
            yield refuse(name, problem, self._inner)
        elif header.kind in _FOLDERS or is_named_folder:
            yield Entry(key, inner=self._inner)
        elif problem := self._content_problem(header, options, data_at + size_bytes):
            yield refuse(key, problem, self._inner)
        elif self._is_archive(key, data_at):
            inner = key.rpartition(b"/")[2][: -len(_SUFFIX)]
            yield from _Archive(self._data, data_at, data_at + size_bytes, inner).entries()
        else:
            check = zlib.crc32(block)
            mark = b"%d %d %d" % (self._data.container.fingerprint, header_at, check)
            member = Member(self._data.number, data_at - TAR_HEADER_BYTES, size_bytes, "tar", check)
            fingerprint = xxhash.xxh3_64_intdigest(mark)
            yield Entry(key, size_bytes, fingerprint, member, inner=self._inner)

    def _content_problem(
        self, header: _Header, options: dict[bytes, bytes], end: int
    ) -> str | None:
        if header.kind in _SPECIAL:
            return _SPECIAL[header.kind]
        if header.kind == b"S" or any(name.startswith(b"GNU.sparse.") for name in options):
            return "it is a sparse file"
        is_cut = self._end is not None and end > self._end
        return "the archive is cut short within it" if is_cut else None

    def _is_archive(self, key: bytes, offset: int) -> bool:
        if self._inner or not key.lower().endswith(_SUFFIX):
            return False
        block = self._data.read(offset, TAR_HEADER_BYTES)
        return len(block) == TAR_HEADER_BYTES and parse_header(block) is not None

    def _skip_sparse_map(self, at: int) -> int:
        while True:
            block = self._data.read(at, TAR_HEADER_BYTES)
            if len(block) < TAR_HEADER_BYTES:
                raise damaged(self._data, "it is cut short", at)
            at += TAR_HEADER_BYTES
            if not block[504]:
                return at


def parse_header(block: bytes) -> _Header | None:
    """Return the fields of a header block; None if it is damaged."""
    checksum, size_bytes = _number(block[148:156]), _number(block[124:136])
    total = sum(block) - sum(block[148:156]) + _BLANK_CHECKSUM
    if checksum != total and checksum != sum(_SIGNED.unpack(block)) + _BLANK_CHECKSUM:
        return None
    if size_bytes is None:
        return None
    name = block[:100].partition(b"\0")[0]
    prefix = block[345:500].partition(b"\0")[0]
    if block[257:263] == b"ustar\0" and prefix:
        name = prefix + b"/" + name
    return _Header(name, size_bytes, block[156:157], bool(block[482]))


def _number(field: bytes) -> int | None:
    """Return a number in octal digits, or in base 256; None if it is invalid or negative."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    digits = field.partition(b"\0")[0].strip()
    try:
        number = int(digits or b"0", 8)
    except ValueError:
        return None
    return number if number >= 0 else None


def _padded(size_bytes: int) -> int:
    return -(-size_bytes // TAR_HEADER_BYTES) * TAR_HEADER_BYTES


def _pax_size(options: dict[bytes, bytes], size_bytes: int) -> int | None:
    text = options.get(b"size")
    if text is None:
        return size_bytes
    return int(text) if len(text) < 20 and text.isdigit() else None


def _parse_pax(text: bytes) -> dict[bytes, bytes]:
    """Return the records of an extended header; records after an invalid one are ignored."""
    records = {}
    at = 0
    while match := _PAX_RECORD.match(text, at):
        length = int(match[1])
        if length < match.end() - at + 1:
            break
        records[match[2]] = text[match.end() : at + length - 1]
        at += length
    return records
