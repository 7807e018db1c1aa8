"""Sizes in the page headers of a Parquet file, read without decompression.

PyArrow does not expose page headers and does not check them against the footer; reading column
metadata with it aborts the process for some malformed footers. The footer and the page headers are
structs in the compact protocol of Thrift, with the fields of parquet.thrift. Like PyArrow, this
module ignores fields of an unexpected type. It rejects everything that PyArrow might interpret
differently: repeated fields, integers that overflow, pages without the header of their type, and
the padding that PyArrow allows for old writers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol, overload

_MAGIC = b"PAR1"
_TAIL_BYTES = 8
_TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = range(1, 13)
_INTEGER_BITS = {_I16: 16, _I32: 32, _I64: 64}

Struct = dict[tuple[int, int], Any]

# FileMetaData, RowGroup and ColumnChunk.
_NUM_ROWS, _ROW_GROUPS, _CREATED_BY = (3, _I64), (4, _LIST), (6, _BINARY)
_COLUMNS, _META_DATA = (1, _LIST), (3, _STRUCT)
# ColumnMetaData.
_TOTAL_VALUES, _COMPRESSED_BYTES = (5, _I64), (7, _I64)
_DATA_OFFSET, _DICTIONARY_OFFSET = (9, _I64), (11, _I64)
# PageHeader; for each page type, the field number of its header, and of the encoding in the header.
_TYPE, _PAGE_BYTES, _COMPRESSED_PAGE_BYTES = (1, _I32), (2, _I32), (3, _I32)
_DATA_PAGE, _DICTIONARY_PAGE, _DATA_PAGE_V2 = 0, 2, 3
_TYPE_HEADERS = {_DATA_PAGE: (5, 2), _DICTIONARY_PAGE: (7, 2), _DATA_PAGE_V2: (8, 4)}
_NUM_VALUES = (1, _I32)
# PLAIN, PLAIN_DICTIONARY, RLE, RLE_DICTIONARY: the encodings that PyArrow writes by default. With
# DELTA_BYTE_ARRAY, a few bytes can repeat the previous string.
_ENCODINGS = {0, 2, 3, 8}


class Content(Protocol):
    """The bytes of a file: `bytes`, or an object that reads them as they are indexed."""

    def __len__(self) -> int: ...
    def endswith(self, suffix: bytes, /) -> bool:
        """Return whether the file ends with these bytes."""

    @overload
    def __getitem__(self, where: int, /) -> int: ...
    @overload
    def __getitem__(self, where: slice, /) -> bytes: ...


class ColumnSizes(NamedTuple):
    """Declared sizes of one column in one row group; dictionaries count as pages too."""

    page_bytes: int
    values: int
    dictionary_bytes: int
    largest_page_bytes: int


class FileSizes(NamedTuple):
    """Declared number of rows of a file, and the sizes of each column in each row group.

    `largest_group_bytes` is the size of the largest row group in the file, before decompression.
    """

    rows: int
    columns: list[ColumnSizes]
    largest_group_bytes: int


def read_page_sizes(content: Content) -> FileSizes:
    """Return the sizes that the footer and the page headers of a Parquet file declare.

    Raises:
        ValueError: `content` is not a Parquet file, is damaged, or uses features that PyArrow does
            not write.
    """
    try:
        return _read_page_sizes(content)
    except (LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError("the footer or a page header is damaged") from error


def _read_page_sizes(content: Content) -> FileSizes:
    if len(content) < _TAIL_BYTES or not content.endswith(_MAGIC):
        raise ValueError("the file is not a Parquet file")
    footer_bytes = int.from_bytes(content[-_TAIL_BYTES:-4], "little")
    footer = _CompactReader(content, len(content) - _TAIL_BYTES - footer_bytes).read_struct()
    # For some versions of this writer, PyArrow reads up to 100 bytes past the end of a column.
    if b"parquet-mr" in footer.get(_CREATED_BY, b"").lower():
        raise ValueError("the file was written by parquet-mr, which is not supported")
    columns = [
        _sum_pages(content, column[_META_DATA])
        for group in footer[_ROW_GROUPS]
        for column in group[_COLUMNS]
    ]
    group_bytes = (
        sum(_not_negative(column[_META_DATA][_COMPRESSED_BYTES]) for column in group[_COLUMNS])
        for group in footer[_ROW_GROUPS]
    )
    return FileSizes(_not_negative(footer[_NUM_ROWS]), columns, max(group_bytes, default=0))


def _sum_pages(content: Content, column: Struct) -> ColumnSizes:
    page_bytes = values = dictionary_bytes = largest_page_bytes = 0
    for header in _read_page_headers(content, column):
        size_bytes = _not_negative(header[_PAGE_BYTES])
        number, encoding_number = _TYPE_HEADERS[header[_TYPE]]
        type_header = header[number, _STRUCT]
        if type_header[encoding_number, _I32] not in _ENCODINGS:
            raise ValueError("a page has an unsupported encoding")
        page_bytes += size_bytes
        largest_page_bytes = max(largest_page_bytes, size_bytes)
        if header[_TYPE] == _DICTIONARY_PAGE:
            dictionary_bytes += size_bytes
        else:
            values += _not_negative(type_header[_NUM_VALUES])
    return ColumnSizes(page_bytes, values, dictionary_bytes, largest_page_bytes)


def _read_page_headers(content: Content, column: Struct) -> Iterator[Struct]:
    if column[_TOTAL_VALUES] == 0:
        return  # PyArrow writes an offset of 0 and reads no page.
    dictionary_offset, data_offset = column.get(_DICTIONARY_OFFSET, 0), column[_DATA_OFFSET]
    at = dictionary_offset if 0 < dictionary_offset < data_offset else data_offset
    end = at + column[_COMPRESSED_BYTES]
    while at < end:
        reader = _CompactReader(content, at)
        header = reader.read_struct()
        yield header
        at = reader.at + _not_negative(header[_COMPRESSED_PAGE_BYTES])


def _not_negative(number: int) -> int:
    if number < 0:
        raise ValueError("a size is negative")
    return number


class _CompactReader:
    """A reader of the compact protocol of Thrift; malformed input raises LookupError."""

    def __init__(self, content: Content, at: int) -> None:
        if at < 0:
            raise IndexError(at)
        self._content = content
        self.at = at

    def read_struct(self) -> Struct:
        """Return the fields of a struct by number and type, without the values of booleans."""
        fields: Struct = {}
        number = 0
        while head := self._byte():
            kind = head & 15
            number = number + (head >> 4) if head >> 4 else self._integer(_I16)
            if (number, kind) in fields:
                raise LookupError(number)
            fields[number, kind] = None if kind in {_TRUE, _FALSE} else self._read(kind)
        return fields

    def _read(self, kind: int) -> Any:
        if kind in _INTEGER_BITS:
            return self._integer(kind)
        if kind in {_TRUE, _FALSE, _BYTE}:
            return self._byte()
        if kind == _DOUBLE:
            return self._take(8)
        if kind == _BINARY:
            return self._take(self._varint())
        if kind in {_LIST, _SET}:
            return self._read_list()
        if kind == _STRUCT:
            return self.read_struct()
        raise LookupError(kind)  # Parquet has no maps

    def _read_list(self) -> list[Any]:
        head = self._byte()
        length = head >> 4 if head >> 4 < 15 else self._varint()
        return [self._read(head & 15) for _ in range(length)]

    def _byte(self) -> int:
        value = self._content[self.at]
        self.at += 1
        return value

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7
            if shift > 63:
                raise LookupError(shift)

    def _integer(self, kind: int) -> int:
        value = self._varint()
        if value >> _INTEGER_BITS[kind]:
            raise LookupError(value)
        return value >> 1 ^ -(value & 1)

    def _take(self, size: int) -> bytes:
        begin = self.at
        self.at += size
        if self.at > len(self._content):
            raise IndexError(self.at)
        return self._content[begin : self.at]
