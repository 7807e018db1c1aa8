"""Fingerprints of source files, saved for later runs.

`generations/fingerprints.parquet` contains the fingerprint (`mtime_ns` or a hash of the ETag) of
each file when it was last seen unmodified, so that later runs do not read the file again, and the
stored key of each renamed file. It is written after the manifest, and is not part of the dataset.
If it is lost, the next run reads every file, and saves the fingerprints again.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.run import Run
from records.errors import CorruptDataError, OutputError, StorageError
from records.format import layout
from records.format.index import read_shard_index
from records.format.manifest import Manifest, read_manifest, shard_names
from records.format.rejects import read_all_rejects
from records.runtime.logging import log_line
from records.storage import Storage
from records.storage.work_folder import unlocked_write
from records.text.keys import key_from_text
from records.untrusted_parquet import InvalidParquetError, read_untrusted

if TYPE_CHECKING:
    from records.dataset import Dataset

_STORED_KEY = pa.field("stored_key", pa.large_binary())
_OLD_FILE = pa.schema({"key": pa.large_binary(), "fingerprint": pa.uint64()})
_FILE = _OLD_FILE.append(_STORED_KEY)
_GROUP_ROWS = 65_536


def read_fingerprints(output: Storage) -> pa.Table:
    """Return a table of the saved fingerprints; empty if they are lost or damaged.

    The columns are key, fingerprint, and `stored_key`: the key of the record of a renamed file,
    null for any other file.
    """
    saved = _read_saved(output)
    return _FILE.empty_table() if saved is None else saved


def _read_saved(output: Storage) -> pa.Table | None:
    try:
        content = output.read(layout.FINGERPRINTS)
        with suppress(InvalidParquetError):
            return read_untrusted(content, _FILE, nullable={_STORED_KEY.name})
        return _without_stored_keys(read_untrusted(content, _OLD_FILE))
    except (OSError, CorruptDataError, InvalidParquetError):
        return None


def _without_stored_keys(fingerprints: pa.Table) -> pa.Table:
    return fingerprints.append_column(_STORED_KEY, pa.nulls(len(fingerprints), _STORED_KEY.type))


def save_fingerprints(run: Run) -> None:
    """Save the fingerprints of the files that the dataset of a run contains, if any has changed."""
    if run.options.dry_run:
        return
    if run.diff is None:
        images = run.sources.images.to_table()  # in the order of their keys since the plan
        _write(run.output, _without_stored_keys(images.select(_OLD_FILE.names)))
    elif run.diff.fingerprints is not None:
        _write(run.output, run.diff.fingerprints)


def copy_fingerprints(dataset: Dataset, output: Storage, *, is_new: bool) -> None:
    """Save the fingerprints of a dataset in another output, to which its records were copied.

    Args:
        dataset: the dataset with the fingerprints.
        output: the output.
        is_new: whether the records were copied now; otherwise later runs may have saved newer
            fingerprints, which are kept.

    Raises:
        CorruptDataError: a manifest, an index or a list of rejects is damaged or missing.
    """
    if is_new or output.stat(layout.FINGERPRINTS) is None:
        base = read_manifest(dataset.storage)
        _write(output, _read_common(dataset.storage, base, dataset.manifest))


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
    if len(read_fingerprints(output)):
        _replace(output, _read_common(output, base, manifest))


def _read_common(output: Storage, base: Manifest, manifest: Manifest) -> pa.Table:
    """Return the saved fingerprints of the files that two generations store the same way.

    A fingerprint is that of the content that the present generation stores. If that generation is
    damaged, there are none. Arguments and errors are those of `forget_fingerprints`.
    """
    saved = read_fingerprints(output)
    if manifest == base or not len(saved):
        return saved
    found = pa.array(_keys_of_one(output, manifest, base), pa.large_binary())
    try:
        left = pa.array(_keys_of_one(output, base, manifest), pa.large_binary())
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


def _write(output: Storage, fingerprints: pa.Table) -> None:
    """Write the file. After a failure, the next run reads the source files again.

    A file of this name that contains no fingerprints is kept: it belongs to the user.
    """
    try:
        _require_fingerprints(output)
        with unlocked_write(output):
            _replace(output, fingerprints)
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


def _replace(output: Storage, fingerprints: pa.Table) -> None:
    stream = io.BytesIO()
    # All values differ: dictionaries would take twice the memory. A million rows take 30 MB.
    options = {"use_dictionary": False, "row_group_size": _GROUP_ROWS}
    pq.write_table(fingerprints.cast(_FILE), stream, compression="zstd", **options)
    output.replace(layout.FINGERPRINTS, stream.getvalue())
