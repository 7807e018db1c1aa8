"""What the pages of a Parquet file claim to hold, read without unpacking any.

Footer and page headers are structs in Thrift's compact protocol: fields by number, of which these
matter (parquet.thrift of the Parquet format has them all).

    FileMetaData    3 num_rows   4 row_groups: 1 columns: 3 meta_data
    ColumnMetaData  5 num_values   7 total_compressed_size   9 data_page_offset
                    11 dictionary_page_offset
    PageHeader      2 uncompressed_page_size   3 compressed_page_size
                    5 or 8, header of a data page: 1 num_values   7 of a dictionary

pyarrow tells these too, and ends the process where some of them contradict others.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

_MAGIC = b"PAR1"
_TAIL_BYTES = 8
_TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = range(1, 13)
_INTEGERS = {_I16, _I32, _I64}

Struct = dict[int, Any]


class ColumnSizes(NamedTuple):
    """What a column's pages claim: bytes unpacked, values, and the bytes of dictionaries."""

    unpacked_bytes: int
    values: int
    dictionary_bytes: int


class DeclaredSizes(NamedTuple):
    """What a file claims: rows, and its columns in each group of rows."""

    rows: int
    columns: list[ColumnSizes]


def read_declared_sizes(content: bytes) -> DeclaredSizes:
    """What the pages of a Parquet file claim to hold.

    Raises:
        ValueError: it is no Parquet file, or is damaged.
    """
    try:
        return _read_declared_sizes(content)
    except (LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError("its footer or the header of a page is damaged") from error


def _read_declared_sizes(content: bytes) -> DeclaredSizes:
    if len(content) < _TAIL_BYTES or not content.endswith(_MAGIC):
        raise ValueError("it is no Parquet file")
    footer_bytes = int.from_bytes(content[-_TAIL_BYTES:-4], "little")
    footer = _Compact(content, len(content) - _TAIL_BYTES - footer_bytes).read_struct()
    columns = [column[3] for group in footer.get(4, ()) for column in group.get(1, ())]
    return DeclaredSizes(
        _not_negative(footer[3]), [_sum_pages(content, column) for column in columns]
    )


def _sum_pages(content: bytes, column: Struct) -> ColumnSizes:
    unpacked_bytes = values = dictionary_bytes = 0
    for header in _read_pages(content, column):
        page_bytes = _not_negative(header[2])
        unpacked_bytes += page_bytes
        values += sum(_not_negative(header[kind][1]) for kind in (5, 8) if kind in header)
        dictionary_bytes += page_bytes if 7 in header else 0
    return ColumnSizes(unpacked_bytes, values, dictionary_bytes)


def _read_pages(content: bytes, column: Struct) -> Iterator[Struct]:
    """The headers of a column's pages, which lie one after another."""
    at = min(filter(None, (column.get(11), column[9])))
    end = at + column[7]
    while at < end:
        reader = _Compact(content, at)
        header = reader.read_struct()
        yield header
        at = reader.at + _not_negative(header[3])


def _not_negative(number: int) -> int:
    if number < 0:
        raise ValueError("a size is negative")
    return number


class _Compact:
    """Reads Thrift's compact protocol; raises IndexError behind the end."""

    def __init__(self, content: bytes, at: int) -> None:
        if at < 0:
            raise IndexError(at)
        self._content = content
        self.at = at

    def read_struct(self) -> Struct:
        fields: Struct = {}
        number = 0
        while head := self._byte():
            kind = head & 15
            number = number + (head >> 4) if head >> 4 else self._integer()
            fields[number] = kind == _TRUE if kind in {_TRUE, _FALSE} else self._read(kind)
        return fields

    def _read(self, kind: int) -> Any:
        if kind in _INTEGERS:
            return self._integer()
        if kind in {_TRUE, _FALSE, _BYTE}:
            return self._byte()
        if kind == _DOUBLE:
            return self._skip(8)
        if kind == _BINARY:
            return self._skip(self._varint())
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

    def _integer(self) -> int:
        value = self._varint()
        return value >> 1 ^ -(value & 1)

    def _skip(self, size: int) -> None:
        self.at += size
        if self.at > len(self._content):
            raise IndexError(self.at)
