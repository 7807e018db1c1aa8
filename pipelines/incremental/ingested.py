"""The files that a dataset has dealt with: what it stored of them, or that it rejected them."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from records.format.index import read_index
from records.format.layout import index_name
from records.format.manifest import Manifest
from records.format.rejects import read_all_rejects
from records.runtime.row_table import RowTable, iter_rows
from records.storage import Storage
from records.text.keys import key_from_text


class IngestedFile(msgspec.Struct, frozen=True, gc=False):
    """A file as it was then; `xxh3_128` of its bytes, None of one that was rejected."""

    key: bytes
    size_bytes: int
    xxh3_128: bytes | None


_COLUMNS = pa.schema(
    {"key": pa.large_binary(), "size_bytes": pa.int64(), "xxh3_128": pa.large_binary()}
)


def read_ingested_files(output: Storage, manifest: Manifest) -> pa.Table:
    """Every file that a dataset holds or rejected: key, size_bytes, xxh3_128; keys are unique.

    Raises:
        CorruptDataError: an index or a list of rejects is damaged.
        FileNotFoundError: one is missing.
    """
    stored = RowTable(IngestedFile, _COLUMNS, _read_stored(output, manifest)).to_table()
    # By key: a file may have been rejected more than once. It may have been stored since, too.
    rejected = {
        key_from_text(reject.key): reject.bytes for reject in read_all_rejects(output, manifest)
    }
    files = (IngestedFile(key, size_bytes, None) for key, size_bytes in rejected.items())
    refused = RowTable(IngestedFile, _COLUMNS, files).to_table()
    is_stored = pc.is_in(refused["key"], value_set=stored["key"])
    return pa.concat_tables([stored, refused.filter(pc.invert(is_stored))])


def _read_stored(output: Storage, manifest: Manifest) -> Iterator[IngestedFile]:
    for shard in (shard for split in manifest.splits.values() for shard in split.shards):
        rows = read_index(output, index_name(shard.name)).table
        for key, size_bytes, digest in iter_rows(rows, "key", "source_bytes", "source_xxh3_128"):
            yield IngestedFile(key_from_text(key), size_bytes, bytes.fromhex(digest))
