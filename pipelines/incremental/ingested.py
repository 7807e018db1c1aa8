"""Files that a dataset has stored or rejected."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.fingerprints import STORED, StoredFiles, join_stored, list_stored, split_complete
from pipelines.incremental.class_renames import ClassRenames
from records.format.index import RowForm, read_shard_index
from records.format.manifest import Manifest
from records.format.rejects import read_newest_rejects
from records.images import encoder_versions
from records.runtime.row_table import RowTable
from records.storage import Storage
from records.text.keys import key_from_text


class IngestedFile(msgspec.Struct, frozen=True, gc=False):
    """A file when it was stored or rejected.

    Attributes:
        key: the key of the file.
        size_bytes: its size when it was listed.
        xxh3_128: its hash; None if it was not read.
        is_stored: whether a record contains its image.
        may_be_supported: whether it was rejected as unsupported by other versions of the image
            libraries.
        labelling: the digest of its labels and its group; None if it was rejected.
        label_digest: the digest of its labels; None if it was rejected.
        split: the number of its split; None if it was rejected.
    """

    key: bytes
    size_bytes: int
    xxh3_128: bytes | None
    is_stored: bool
    may_be_supported: bool = False
    labelling: int | None = None
    label_digest: int | None = None
    split: int | None = None


_COLUMNS = pa.schema(
    {
        "key": pa.large_binary(),
        "size_bytes": pa.int64(),
        "xxh3_128": pa.large_binary(),
        "is_stored": pa.bool_(),
        "may_be_supported": pa.bool_(),
        "labelling": pa.int64(),
        "label_digest": pa.int64(),
        "split": pa.int8(),
    }
)


class Ingested(NamedTuple):
    """The files that a dataset has stored or rejected.

    Attributes:
        table: table with the columns of `IngestedFile`, with unique keys.
        stored: the stored files of the table.
    """

    table: pa.Table
    stored: StoredFiles


def read_ingested_files(
    output: Storage, manifest: Manifest, renames: ClassRenames, saved: StoredFiles
) -> Ingested:
    """Return all stored or rejected files.

    Args:
        output: the storage of the dataset.
        manifest: its manifest.
        renames: the renames of the run; the table has the labels after them.
        saved: the stored files that an earlier run has saved.

    Raises:
        CorruptDataError: an index or a list of rejects is damaged or missing.
    """
    stored = _read_stored(output, manifest, renames, saved)
    columns = {name: stored.table[name] for name in STORED.names if name in _COLUMNS.names}
    columns["is_stored"] = pa.array(np.full(len(stored.table), fill_value=True))
    columns["may_be_supported"] = pa.array(np.full(len(stored.table), fill_value=False))
    table = pa.table(columns).select(_COLUMNS.names).cast(_COLUMNS)
    rejects = RowTable(IngestedFile, _COLUMNS, _read_rejected(output, manifest)).to_table()
    is_stored = pc.is_in(rejects["key"], value_set=table["key"])
    return Ingested(pa.concat_tables([table, rejects.filter(pc.invert(is_stored))]), stored)


def _read_stored(
    output: Storage, manifest: Manifest, renames: ClassRenames, saved: StoredFiles
) -> StoredFiles:
    """Return the stored files: the saved ones, and those in the indexes of all other shards."""
    form = RowForm.of(manifest)
    shards = [shard for info in manifest.splits.values() for shard in info.shards]
    # Merged classes have other labels now than in the saved rows.
    known, others = split_complete(StoredFiles() if renames.merged else saved, shards)
    indexes = ((read_shard_index(output, shard, form), shard.index.sha256) for shard in others)
    return join_stored(known, list_stored(indexes, renames.apply))


def _read_rejected(output: Storage, manifest: Manifest) -> Iterator[IngestedFile]:
    versions = encoder_versions()
    for generation, reject in read_newest_rejects(output, manifest).values():
        # A compacted dataset has several versions of a library, joined by commas.
        newest = {name: them.split(", ")[-1] for name, them in generation.encoders.items()}
        yield IngestedFile(
            key_from_text(reject.key),
            reject.bytes,
            None if reject.xxh3_128 is None else bytes.fromhex(reject.xxh3_128),
            is_stored=False,
            may_be_supported=reject.reason == "unsupported" and newest != versions,
        )
