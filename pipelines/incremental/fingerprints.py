"""When each file of a dataset was last seen to be what was stored: `generations/stamps.parquet`.

A modification time (or ETag) that is still the same tells a night's run that it need not read the
file again. Where this is lost or damaged every file is read once more, and it is written anew.
"""

from __future__ import annotations

import io
from contextlib import suppress

import pyarrow as pa
import pyarrow.parquet as pq

from records.errors import OutputError
from records.format import layout
from records.storage import Storage
from records.untrusted_parquet import InvalidParquetError, read_untrusted

_COLUMNS = pa.schema({"key": pa.large_binary(), "stamp": pa.uint64()})


def read_fingerprints(output: Storage) -> pa.Table:
    """The stamps that were kept, none where there are none that can be read."""
    try:
        return read_untrusted(output.read(layout.MTIMES), _COLUMNS)
    except (FileNotFoundError, OSError, InvalidParquetError):
        return _COLUMNS.empty_table()


def write_fingerprints(output: Storage, stamps: pa.Table) -> None:
    """Keep them. Where the output cannot be written, files are looked into again next time."""
    stream = io.BytesIO()
    pq.write_table(stamps.cast(_COLUMNS), stream, compression="zstd")
    with suppress(OutputError):
        output.replace(layout.MTIMES, stream.getvalue())
