"""Files that the shards of a dataset store.

An incremental run needs them from all indexes. An index never changes. So a copy of its rows, with
the SHA-256 of the index, is as good as the index, and takes one request instead of one per index.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import xxhash
from numpy.typing import NDArray

from records.format.index import Index, label_lists
from records.format.layout import SPLITS
from records.format.manifest import ShardInfo
from records.runtime.row_table import RowTable, from_numbers, iter_rows
from records.text.keys import key_from_text

_INT64_RANGE = 2**63


class StoredFile(msgspec.Struct, frozen=True, gc=False):
    """A file when it was stored.

    Attributes:
        key: the key of its record.
        size_bytes: its size when it was listed.
        xxh3_128: its hash.
        labelling: the digest of its labels and its group.
        label_digest: the digest of its labels.
        split: the number of its split.
        shard: the number of its shard.
    """

    key: bytes
    size_bytes: int
    xxh3_128: bytes
    labelling: int
    label_digest: int
    split: int
    shard: int


STORED = pa.schema(
    {
        "key": pa.large_binary(),
        "size_bytes": pa.int64(),
        "xxh3_128": pa.large_binary(),
        "labelling": pa.int64(),
        "label_digest": pa.int64(),
        "split": pa.int8(),
        "shard": pa.int32(),
    }
)


class StoredFiles(NamedTuple):
    """The files that shards store.

    Attributes:
        table: table with the columns of `StoredFile`.
        indexes: the SHA-256 of the index of each shard, in the order of their numbers.
    """

    table: pa.Table = STORED.empty_table()
    indexes: tuple[str, ...] = ()


Relabel = Callable[[tuple[int, ...]], tuple[int, ...]]
"""A function from the labels of a record to its labels after a run."""


def list_stored(
    indexes: Iterable[tuple[Index, str]], relabel: Relabel = lambda labels: labels
) -> StoredFiles:
    """Return the files in the rows of indexes.

    Args:
        indexes: each index, and the SHA-256 of its file.
        relabel: the function that returns the labels of a row.
    """
    hashes: list[str] = []

    def rows() -> Iterator[StoredFile]:
        for number, (index, sha256) in enumerate(indexes):
            hashes.append(sha256)
            split = SPLITS.index(index.summary.split)
            found = iter_rows(index.table, "key", "source_bytes", "source_xxh3_128", "group")
            all_labels = map(relabel, label_lists(index.table))
            for (key, size_bytes, digest, group), labels in zip(found, all_labels, strict=True):
                yield StoredFile(
                    key_from_text(key),
                    size_bytes,
                    bytes.fromhex(digest),
                    digest_labelling(labels, group),
                    digest_labels(labels),
                    split,
                    number,
                )

    table = RowTable(StoredFile, STORED, rows()).to_table()
    return StoredFiles(table, tuple(hashes))


def digest_labels(labels: Sequence[int]) -> int:
    """Return a digest of the labels of an image, int64: a single label is its own digest."""
    return labels[0] if len(labels) == 1 else digest_labelling(labels, 0)


def digest_labelling(labels: Sequence[int], group: int) -> int:
    """Return the digest of the labels of an image and of the hash of its group, int64."""
    encoded = msgspec.msgpack.encode((sorted(labels), group))
    return xxhash.xxh3_64_intdigest(encoded) - _INT64_RANGE


def join_stored(*parts: StoredFiles) -> StoredFiles:
    """Return the files of all parts, in their order."""
    tables, indexes = [], list[str]()
    for part in parts:
        shards = part.table["shard"].to_numpy() + np.int32(len(indexes))
        tables.append(_with_shards(part.table, shards))
        indexes += part.indexes
    return StoredFiles(pa.concat_tables(tables), tuple(indexes))


def split_complete(
    stored: StoredFiles, shards: Sequence[ShardInfo]
) -> tuple[StoredFiles, list[ShardInfo]]:
    """Return the files of the shards of which all files are known, and the other shards.

    Args:
        stored: the known files, which may be those of a damaged file.
        shards: the shards of a manifest.
    """
    numbers = {shard.index.sha256: number for number, shard in enumerate(shards)}
    # The last number stands for all shards that the manifest does not list.
    own = np.array([numbers.get(sha256, len(shards)) for sha256 in stored.indexes], np.int32)
    found = stored.table["shard"].to_numpy()
    if len(found) and not 0 <= found.min() <= found.max() < len(own):
        return StoredFiles(), list(shards)
    mapped = own[found] if len(found) else found
    counts = np.bincount(mapped, minlength=len(shards) + 1)[:-1]
    is_complete = np.append(counts == [shard.records for shard in shards], [False])
    kept = is_complete[mapped]
    table = _with_shards(stored.table.filter(pa.array(kept)), mapped[kept])
    indexes = tuple(shard.index.sha256 for shard in shards)
    others = [shard for shard, known in zip(shards, is_complete, strict=False) if not known]
    return StoredFiles(table, indexes), others


def _with_shards(table: pa.Table, shards: NDArray[np.int32]) -> pa.Table:
    column = STORED.get_field_index("shard")
    return table.set_column(column, STORED.field("shard"), from_numbers(shards.astype(np.int32)))
