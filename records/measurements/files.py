"""Saved measurements, one Parquet file per shard.

The footer of each file contains the xxh3-128 of the shard and the name of the method. If the shard
or the method has changed, the file is ignored and replaced.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from records.errors import AccessDeniedError, CorruptDataError, OutputError
from records.format.layout import measurement_name
from records.storage.ownership import record_hash
from records.storage.work_folder import unlocked_write
from records.strict_json import decode_json
from records.untrusted_parquet import read_untrusted

if TYPE_CHECKING:
    from records.format.index import ShardSummary
    from records.format.manifest import ShardInfo
    from records.measurements.measurement import Measurement
    from records.storage import Storage

_FACTS = b"shardmill"
# OSError includes FileNotFoundError; CorruptDataError is a link that leads out of the dataset.
_UNREADABLE = (
    *(CorruptDataError, AccessDeniedError, OSError, ValueError),
    *(msgspec.DecodeError, pa.ArrowException),
)


class _Facts(msgspec.Struct, frozen=True):
    """The content of the footer: the hash of the shard, and the method."""

    shard_xxh3_128: str
    method: str


def read_saved(storage: Storage, shard: ShardInfo, measurement: Measurement) -> pa.Table | None:
    """Return the saved table of a shard; None if the file is missing, outdated or unreadable."""
    try:
        content = storage.read(measurement_name(shard.name, measurement.folder))
        if _decode_facts(content) != _facts_of(shard, measurement):
            return None
        table = read_untrusted(content, measurement.schema)
    except _UNREADABLE:
        return None
    return table if len(table) == shard.records else None


def save(storage: Storage, shard: ShardInfo, measurement: Measurement, table: pa.Table) -> None:
    """Save the table of a shard, completely or not at all.

    Raises:
        OutputError: the folder of the dataset cannot be written to, or contains another file of
            this name.
        StorageError: storage failed after retries.
    """
    name = _require_replaceable(storage, shard, measurement)
    with unlocked_write(storage):
        storage.replace(name, _encode(shard, measurement, table))


def save_in_run(
    storage: Storage, shard: ShardSummary, measurement: Measurement, table: pa.Table
) -> None:
    """Save the table of a shard that a run writes, and record the file as one of the run.

    Raises as `save`.
    """
    name = _require_replaceable(storage, shard, measurement)
    content = _encode(shard, measurement, table)
    record_hash(storage, name, xxhash.xxh3_128_hexdigest(content))
    storage.replace(name, content)


def _require_replaceable(
    storage: Storage, shard: ShardInfo | ShardSummary, measurement: Measurement
) -> str:
    """Return the name of the file of a shard. Raises OutputError if it belongs to the user."""
    name = measurement_name(shard.name, measurement.folder)
    if storage.stat(name) is not None and _read_facts(storage, name) is None:
        raise OutputError(
            "the file contains no measurements: shardmill did not write it, or it is damaged",
            path=storage.display_name(name),
            hint="move the file away, so that measurements can be saved",
        )
    return name


def is_of_shard(storage: Storage, name: str, shard: ShardInfo) -> bool:
    """Return whether a file contains a saved table of a shard, by any method."""
    facts = _read_facts(storage, name)
    return facts is not None and facts.shard_xxh3_128 == shard.xxh3_128


def _read_facts(storage: Storage, name: str) -> _Facts | None:
    """Return the content of the footer; None if the file is not a saved table."""
    try:
        return _decode_facts(storage.read(name))
    except _UNREADABLE:
        return None


def _decode_facts(content: bytes) -> _Facts:
    """Return the content of the footer of a file. Raises one of `_UNREADABLE`."""
    footer = pq.read_schema(io.BytesIO(content)).metadata or {}
    return decode_json(footer.get(_FACTS, b""), _Facts)


def _facts_of(shard: ShardInfo | ShardSummary, measurement: Measurement) -> _Facts:
    return _Facts(shard.xxh3_128, measurement.method)


def _encode(shard: ShardInfo | ShardSummary, measurement: Measurement, table: pa.Table) -> bytes:
    metadata = {_FACTS: msgspec.json.encode(_facts_of(shard, measurement))}
    content = io.BytesIO()
    described = table.replace_schema_metadata(metadata).combine_chunks()
    pq.write_table(described, content, compression="zstd", write_page_checksum=True)
    return content.getvalue()
