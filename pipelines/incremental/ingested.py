"""Files that a dataset has stored or rejected."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.incremental.class_renames import ClassRenames
from pipelines.incremental.labelling import digest_labelling, digest_labels
from records.format.index import RowForm, label_lists, read_shard_index
from records.format.layout import SPLITS
from records.format.manifest import Manifest
from records.format.rejects import read_newest_rejects
from records.images import encoder_versions
from records.runtime.row_table import RowTable, iter_rows
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


def read_ingested_files(output: Storage, manifest: Manifest, renames: ClassRenames) -> pa.Table:
    """Return a table of all stored or rejected files, with unique keys.

    The columns are those of `IngestedFile`.

    Args:
        output: the storage of the dataset.
        manifest: its manifest.
        renames: the renames of the run; the table has the labels after them.

    Raises:
        CorruptDataError: an index or a list of rejects is damaged or missing.
    """
    stored = RowTable(IngestedFile, _COLUMNS, _read_stored(output, manifest, renames)).to_table()
    rejects = RowTable(IngestedFile, _COLUMNS, _read_rejected(output, manifest)).to_table()
    is_stored = pc.is_in(rejects["key"], value_set=stored["key"])
    return pa.concat_tables([stored, rejects.filter(pc.invert(is_stored))])


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


def _read_stored(
    output: Storage, manifest: Manifest, renames: ClassRenames
) -> Iterator[IngestedFile]:
    form = RowForm.of(manifest)
    for split, info in manifest.splits.items():
        for shard in info.shards:
            index = read_shard_index(output, shard, form)
            rows = iter_rows(index.table, "key", "source_bytes", "source_xxh3_128", "group")
            all_labels = map(renames.apply, label_lists(index.table))
            for row, labels in zip(rows, all_labels, strict=True):
                key, size_bytes, digest, group = row
                yield IngestedFile(
                    key_from_text(key),
                    size_bytes,
                    bytes.fromhex(digest),
                    is_stored=True,
                    labelling=digest_labelling(labels, group),
                    label_digest=digest_labels(labels),
                    split=SPLITS.index(split),
                )
