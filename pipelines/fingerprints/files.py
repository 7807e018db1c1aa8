"""Fingerprints of source files, saved for later runs.

`generations/fingerprints.parquet` contains the fingerprint (`mtime_ns` or a hash of the ETag) of
each file when it was last seen unmodified, so that later runs do not read the file again, and the
stored key of each renamed file. In an object store, it also has the row of the file in the index of
its shard, so that later runs do not read all indexes. It is written after the manifest, and is not
part of the dataset. If it is lost, the next run reads every file, and saves the fingerprints again.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.fingerprints.stored import STORED, StoredFiles, join_stored
from pipelines.run import Run
from records.errors import CorruptDataError, OutputError, StorageError
from records.format import layout
from records.format.index import read_shard_index
from records.format.manifest import Manifest, read_manifest, shard_names
from records.format.rejects import read_all_rejects
from records.runtime.logging import log_line
from records.runtime.row_table import from_numbers
from records.storage import Storage
from records.storage.work_folder import unlocked_write
from records.strict_json import decode_json
from records.text.keys import key_from_text
from records.untrusted_parquet import read_untrusted

if TYPE_CHECKING:
    from records.dataset import Dataset

_STORED_KEY = pa.field("stored_key", pa.large_binary())
_OLD_FILE = pa.schema({"key": pa.large_binary(), "fingerprint": pa.uint64()})
_FILE = _OLD_FILE.append(_STORED_KEY)
_ROWS = pa.schema(list(STORED)[1:])  # without the key
_FILE_WITH_ROWS = pa.schema([*_FILE, *_ROWS])
_SCHEMAS = {len(schema): schema for schema in (_OLD_FILE, _FILE, _FILE_WITH_ROWS)}
_NULLABLE = {_STORED_KEY.name, *_ROWS.names}
_INDEXES = b"shardmill"
_GROUP_ROWS = 65_536
_NONE = -1
MOST_STORED_FILES = 1_000_000
"""The number of stored files up to which their rows are saved: they take 50 bytes each."""


class SavedFiles(NamedTuple):
    """The content of the file.

    Attributes:
        fingerprints: table of key, fingerprint, and `stored_key`: the key of the record of a
            renamed file, null for any other file.
        stored: the rows of stored files that were saved.
    """

    fingerprints: pa.Table = _FILE.empty_table()
    stored: StoredFiles = StoredFiles()


def read_fingerprints(output: Storage) -> pa.Table:
    """Return the table of the saved fingerprints; empty if they are lost or damaged."""
    return read_saved(output).fingerprints


def read_saved(output: Storage) -> SavedFiles:
    """Return the saved fingerprints and rows; empty if they are lost or damaged."""
    return _read_saved(output) or SavedFiles()


def _read_saved(output: Storage) -> SavedFiles | None:
    try:
        content = output.read(layout.FINGERPRINTS)
        found = pq.read_schema(io.BytesIO(content))
        schema = _SCHEMAS.get(len(found), _FILE)
        nullable = _NULLABLE.intersection(schema.names)
        table = read_untrusted(content, schema, nullable=nullable)
        indexes = decode_json((found.metadata or {}).get(_INDEXES, b"[]"), tuple[str, ...])
    except (OSError, CorruptDataError, ValueError, pa.ArrowException, msgspec.DecodeError):
        return None
    if schema == _OLD_FILE:
        table = _without_stored_keys(table)
    return SavedFiles(table.select(_FILE.names), _select_stored(table, indexes))


def _select_stored(table: pa.Table, indexes: tuple[str, ...]) -> StoredFiles:
    """Return the stored files of which a table of the file has the rows."""
    if _ROWS.names[-1] not in table.column_names:
        return StoredFiles()
    rows = table.filter(table[_ROWS.names[-1]].is_valid())
    keys = pc.coalesce(rows["stored_key"], rows["key"])
    return StoredFiles(rows.select(_ROWS.names).add_column(0, "key", keys).cast(STORED), indexes)


def _without_stored_keys(fingerprints: pa.Table) -> pa.Table:
    return fingerprints.append_column(_STORED_KEY, pa.nulls(len(fingerprints), _STORED_KEY.type))


def save_fingerprints(run: Run, stored: StoredFiles | None = None) -> None:
    """Save the fingerprints of the files that the dataset of a run contains, if any has changed.

    Args:
        run: the run.
        stored: the files that the run has stored; None if their rows are not saved.
    """
    if run.options.dry_run:
        return
    if run.diff is None:
        images = run.sources.images.to_table()  # in the order of their keys since the plan
        _write(run.output, _without_stored_keys(images.select(_OLD_FILE.names)), stored)
    elif run.diff.fingerprints is not None:
        # A new shard may replace an earlier one.
        parts = [files for files in (stored, run.diff.stored) if files is not None]
        rows = join_stored(*parts) if parts else None
        _write(run.output, run.diff.fingerprints, rows, is_own=run.diff.has_saved)


def add_stored(output: Storage, stored: StoredFiles | None) -> None:
    """Save the files in new shards with the saved fingerprints, if there are any.

    Args:
        output: the storage of the dataset.
        stored: the files in the new shards; None if their rows are not saved.
    """
    if stored is None:
        return
    saved, before = read_saved(output)
    if len(saved):
        _write(output, saved, join_stored(stored, before), is_own=True)


def copy_fingerprints(
    dataset: Dataset, output: Storage, *, is_new: bool, stored: StoredFiles | None = None
) -> None:
    """Save the fingerprints of a dataset in another output, to which its records were copied.

    Args:
        dataset: the dataset with the fingerprints.
        output: the output.
        is_new: whether the records were copied now; otherwise later runs may have saved newer
            fingerprints, which are kept.
        stored: the files in the shards of the output; None if their rows are not saved.

    Raises:
        CorruptDataError: a manifest, an index or a list of rejects is damaged or missing.
    """
    if is_new or output.stat(layout.FINGERPRINTS) is None:
        storage, base = dataset.storage, read_manifest(dataset.storage)
        saved = read_fingerprints(storage)
        _write(output, _keep_common(saved, storage, base, dataset.manifest), stored)


def forget_fingerprints(output: Storage, base: Manifest, manifest: Manifest) -> None:
    """Remove the fingerprints of the files that another generation does not store the same way.

    The next append reads these files again.

    Args:
        output: the storage of the dataset.
        base: the present manifest.
        manifest: the manifest of the other generation.

    Raises:
        CorruptDataError: an index or a list of rejects of the other generation is damaged or
            missing.
        OutputError, StorageError: the fingerprints cannot be written.
    """
    saved, stored = read_saved(output)
    if len(saved):
        _replace(output, _keep_common(saved, output, base, manifest), stored)


def _keep_common(saved: pa.Table, storage: Storage, base: Manifest, manifest: Manifest) -> pa.Table:
    """Return the saved fingerprints of the files that two generations store the same way.

    A fingerprint is that of the content that the present generation stores. If that generation is
    damaged, there are none. Arguments and errors are those of `forget_fingerprints`.
    """
    if manifest == base or not len(saved):
        return saved
    found = pa.array(_keys_of_one(storage, manifest, base), pa.large_binary())
    try:
        left = pa.array(_keys_of_one(storage, base, manifest), pa.large_binary())
    except CorruptDataError:
        return saved.slice(0, 0)
    keys = pa.concat_arrays([found, left])
    stored_keys = pc.coalesce(saved["stored_key"], saved["key"])
    differs = pc.or_(pc.is_in(saved["key"], keys), pc.is_in(stored_keys, keys))
    return saved.filter(pc.invert(differs))


def _keys_of_one(output: Storage, manifest: Manifest, other: Manifest) -> Iterator[bytes]:
    """Yield the keys of the shards and generations that only the first of two manifests has."""
    common = shard_names(other)
    for info in manifest.splits.values():
        for shard in info.shards:
            if shard.name not in common:
                keys = read_shard_index(output, shard).table["key"]
                yield from map(key_from_text, keys.to_pylist())
    generations = tuple(each for each in manifest.generations if each not in other.generations)
    only = msgspec.structs.replace(manifest, generations=generations)
    for _, rejects in read_all_rejects(output, only):
        yield from (key_from_text(reject.key) for reject in rejects)


def _write(
    output: Storage, fingerprints: pa.Table, stored: StoredFiles | None, *, is_own: bool = False
) -> None:
    """Write the file. After a failure, the next run reads the source files again.

    A file of this name that contains no fingerprints is kept: it belongs to the user. With
    `is_own`, this run has read fingerprints from it.
    """
    try:
        if not is_own:
            _require_fingerprints(output)
        with unlocked_write(output):
            _replace(output, fingerprints, stored)
    except (OutputError, StorageError) as error:
        problem = "the fingerprints cannot be saved, so the next run reads every source file"
        log_line(f"{problem}: {error}", level=logging.WARNING)


def _require_fingerprints(output: Storage) -> None:
    """Check that no other file has the name of the file. Raises OutputError, StorageError."""
    if output.stat(layout.FINGERPRINTS) is not None and _read_saved(output) is None:
        raise OutputError(
            "the file contains no fingerprints: shardmill did not write it, or it is damaged",
            path=output.display_name(layout.FINGERPRINTS),
            hint="move the file away",
        )


def _replace(output: Storage, fingerprints: pa.Table, stored: StoredFiles | None) -> None:
    table = fingerprints.cast(_FILE)
    if stored is not None and len(stored.table) <= MOST_STORED_FILES:
        table = _with_rows(table, stored)
    stream = io.BytesIO()
    # All values differ: dictionaries would take twice the memory. A million rows take 30 MB.
    options = {"use_dictionary": False, "row_group_size": _GROUP_ROWS}
    pq.write_table(table, stream, compression="zstd", **options)
    output.replace(layout.FINGERPRINTS, stream.getvalue())


def _with_rows(fingerprints: pa.Table, stored: StoredFiles) -> pa.Table:
    """Return a table with the row of each stored file in the index of its shard."""
    keys = pc.coalesce(fingerprints["stored_key"], fingerprints["key"])
    found = pc.index_in(keys, value_set=stored.table["key"]).fill_null(_NONE).to_numpy()
    numbers, first = np.unique(found, return_index=True)
    once = np.full(len(found), _NONE)  # several files may name one record
    once[first] = numbers
    rows = pc.if_else(pc.equal(from_numbers(once), _NONE), None, from_numbers(once))
    taken = stored.table.select(_ROWS.names).take(rows)
    columns = [*fingerprints.columns, *taken.columns]
    metadata = {_INDEXES: msgspec.json.encode(stored.indexes)}
    return pa.Table.from_arrays(columns, schema=_FILE_WITH_ROWS.with_metadata(metadata))
