"""Batches of an untrusted Parquet file of any size.

The file and its rows are not in memory as a whole. A batch has so few rows that neither pages nor
dictionaries can expand it beyond a limit, and the growth of the file is limited as in
`records.untrusted_parquet.read`.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle
from typing import Any, overload

import pyarrow as pa
import pyarrow.parquet as pq

from records.runtime.malloc import reuse_blocks
from records.text.formatting import pluralize
from records.untrusted_parquet.page_sizes import FileSizes, read_page_sizes
from records.untrusted_parquet.read import (
    GROWTH_ALLOWED_BYTES,
    MAX_GROWTH,
    InvalidParquetError,
    require_growth,
)

ReadRange = Callable[[int, int], bytes]
"""A function that returns bytes by offset and size; fewer only at the end of the file."""

_MAGIC_BYTES = 4
_MOST_FOOTER_BYTES = 4 << 20
_MOST_PAGE_BYTES = 256 << 20
_BATCH_BYTES = 64 << 20
"""The size that the values of a column in a batch may have; each may be as long as a page."""
_BATCH_ROWS = 64
_LEAST_ROWS = 4
"""The number of rows in a batch if pages are large: a batch of one row costs as much as 64 rows."""
_BLOCK_BYTES = 64 << 10
_BUFFER_BYTES = 1 << 20
_UNBUFFERED_BYTES = 16 << 20
"""The size of a row group up to which each column is read as a whole: that saves a copy."""
_LISTED_VALUE_BYTES = 64
"""The size of a value of a list as an object of Python."""


class ParquetStream:
    """A Parquet file of an untrusted source.

    Args:
        read: the function that reads the file.
        size_bytes: the size of the file.

    Attributes:
        schema: the columns.
        metadata: the metadata that the writer has added; empty for none.

    Raises:
        InvalidParquetError: the file is damaged, or uses features that PyArrow does not write.
    """

    def __init__(self, read: ReadRange, size_bytes: int) -> None:
        content = _Content(read, size_bytes)
        try:
            _require_small_footer(content)
            sizes = read_page_sizes(content)
            self._allowed_bytes = max(GROWTH_ALLOWED_BYTES, MAX_GROWTH * size_bytes)
            require_growth(sum(column.page_bytes for column in sizes.columns), self._allowed_bytes)
            self._batch_rows = _choose_batch_rows(sizes)
            self._rows = sizes.rows
            self._sizes = sizes
            self._file = pq.ParquetFile(
                pa.PythonFile(_File(content), mode="r"),
                buffer_size=0 if sizes.largest_group_bytes <= _UNBUFFERED_BYTES else _BUFFER_BYTES,
                pre_buffer=False,
                page_checksum_verification=True,
            )
            self.schema: pa.Schema = self._file.schema_arrow
            _require_distinct(self.schema.names)
            self.metadata: dict[bytes, bytes] = dict(self._file.metadata.metadata or {})
        except (pa.ArrowException, OSError, ValueError) as error:
            raise InvalidParquetError(str(error)) from error

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Yield the rows of some columns, in batches of at most 64.

        Args:
            columns: the paths of the columns, such as `label` or `image.bytes`.

        Raises:
            InvalidParquetError: the file is damaged.
        """
        rows = total_bytes = 0
        try:
            self._require_small_lists(columns)
            found = self._file.iter_batches(
                self._batch_rows, columns=list(columns), use_threads=False
            )
            for batch in reuse_blocks(found):
                batch.validate(full=True)
                rows += len(batch)
                total_bytes += batch.nbytes
                require_growth(total_bytes, self._allowed_bytes)
                yield batch
                del batch  # before the next one is decoded
        except (pa.ArrowException, OSError, ValueError) as error:
            raise InvalidParquetError(str(error)) from error
        if rows != self._rows:
            raise InvalidParquetError(f"the file does not have {pluralize(self._rows, 'row')}")

    def _require_small_lists(self, columns: Sequence[str]) -> None:
        """Check lists: one row may hold all values of a row group, each as long as a dictionary."""
        schema, wanted = self._file.schema, frozenset(columns)
        leaves = [schema.column(number) for number in range(len(schema))]
        for sizes, leaf in zip(self._sizes.columns, cycle(leaves), strict=False):
            if leaf.max_repetition_level and _is_in(leaf.path, wanted):
                value_bytes = _LISTED_VALUE_BYTES + sizes.dictionary_bytes
                require_growth(sizes.page_bytes + sizes.values * value_bytes, self._allowed_bytes)


def _is_in(path: str, columns: frozenset[str]) -> bool:
    """Return whether the path of a leaf is that of one of these columns, or of a field of one."""
    parts = path.split(".")
    return any(".".join(parts[:end]) in columns for end in range(1, len(parts) + 1))


def _require_small_footer(content: _Content) -> None:
    tail = content[-2 * _MAGIC_BYTES :]
    if int.from_bytes(tail[:_MAGIC_BYTES], "little") > _MOST_FOOTER_BYTES:
        raise ValueError(f"the footer has more than {_MOST_FOOTER_BYTES:,} bytes")


def _require_distinct(names: Sequence[str]) -> None:
    if len(set(names)) < len(names):
        raise ValueError("two columns have the same name")


def _choose_batch_rows(sizes: FileSizes) -> int:
    """Return the number of rows per batch, so that a batch has few times the size of a page."""
    largest_bytes = max((column.largest_page_bytes for column in sizes.columns), default=1)
    if largest_bytes > _MOST_PAGE_BYTES:
        raise ValueError(f"a page has more than {_MOST_PAGE_BYTES:,} bytes")
    largest_bytes = max(1, largest_bytes)  # a row has at most that many bytes
    least_rows = max(1, min(_LEAST_ROWS, _MOST_PAGE_BYTES // largest_bytes))
    return max(least_rows, min(_BATCH_ROWS, _BATCH_BYTES // largest_bytes))


class _Content:
    """The bytes of a file, read in blocks as they are indexed."""

    def __init__(self, read: ReadRange, size_bytes: int) -> None:
        self._read = read
        self._size_bytes = size_bytes
        self._start, self._block = 0, b""

    def __len__(self) -> int:
        return self._size_bytes

    def endswith(self, suffix: bytes) -> bool:
        """Return whether the file ends with these bytes."""
        return self[-len(suffix) :] == suffix

    @overload
    def __getitem__(self, where: int) -> int: ...
    @overload
    def __getitem__(self, where: slice) -> bytes: ...
    def __getitem__(self, where: int | slice) -> int | bytes:
        if isinstance(where, slice):
            start, stop, _ = where.indices(self._size_bytes)
            return self.read(start, stop - start)
        at = where - self._start
        if not 0 <= at < len(self._block):
            if not 0 <= where < self._size_bytes:
                raise IndexError(where)
            self._start, at = where, 0
            self._block = self.read(where, min(_BLOCK_BYTES, self._size_bytes - where))
        return self._block[at]

    def read(self, offset: int, size_bytes: int) -> bytes:
        """Return bytes of the file. Raises ValueError if it ends earlier."""
        data = self._read(offset, size_bytes) if size_bytes > 0 else b""
        if len(data) < size_bytes:
            raise ValueError("the file ends early")
        return data


class _File(io.RawIOBase):
    """The bytes as a file for PyArrow."""

    def __init__(self, content: _Content) -> None:
        self._content = content
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: len(self._content)}[whence]
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, size_bytes: int = -1) -> bytes:
        left = max(0, len(self._content) - self._at)
        data = self._content.read(self._at, left if size_bytes < 0 else min(size_bytes, left))
        self._at += len(data)
        return data

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)
