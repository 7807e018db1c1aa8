"""Lists in Parquet."""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.sources.cells import Row, cell_text
from pipelines.sources.lists.table import ListTable
from records.errors import UsageError
from records.runtime.row_table import iter_rows
from records.text.escaping import escape_for_display
from records.untrusted_parquet import InvalidParquetError, read_untrusted_columns

MAGIC = b"PAR1"


def read_parquet_table(content: bytes, path: str) -> ListTable:
    """Return the table of the columns of a Parquet file that hold text, numbers or booleans.

    Raises:
        UsageError: the file is damaged, or uses features that are not supported.
    """
    try:
        table = read_untrusted_columns(content)
    except InvalidParquetError as error:
        raise UsageError(
            "the list is not a Parquet file that can be read",
            path=path,
            got=escape_for_display(str(error)),
            hint="save the list as CSV",
        ) from error
    columns = tuple(table.column_names)

    def rows() -> Iterator[tuple[int, Row]]:
        for number, values in enumerate(iter_rows(table, *columns), start=1):
            yield number, dict(zip(columns, map(cell_text, values), strict=True))

    return ListTable(path, columns, rows, unit="row")
