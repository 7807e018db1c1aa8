"""A damaged index, made again from its intact shard."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import NamedTuple

import msgspec
import numpy as np
import xxhash

from pipelines.planning.assign_splits import assign_splits
from pipelines.planning.existing_splits import existing_splits
from pipelines.planning.split_hash import hash_keys
from pipelines.repair.damage import ignoring_damage
from pipelines.repair.dataset import DatasetToRepair
from pipelines.repair.listed import ListedShard
from pipelines.repair.source import SourceImages
from pipelines.repair.stored import StoredRecords
from pipelines.sources.base import SourceImage, new_image_table
from records.dataset.record import Record
from records.format.columns import encode_columns
from records.format.digest import digest_of
from records.format.index import (
    IndexRow,
    Reject,
    ShardSummary,
    encode_index,
    hash_group,
    index_schema,
    new_row_table,
)
from records.format.layout import SPLITS
from records.format.rejects import read_rejects
from records.format.shard import read_shard
from records.format.tfrecord import HEADER_BYTES, frame_size_bytes
from records.images import NormalizedImage, Rejection
from records.images.features import encode_image_example
from records.storage import Storage
from records.text.keys import key_from_text

_MOST_AT_ENDS = 8
"""The rejects that are tried before the first record of a shard, and after the last one."""


class _Origin(NamedTuple):
    """What a row has about the file of an image, and its record does not."""

    source_bytes: int
    source_xxh3_128: str
    changes: tuple[str, ...]
    group: int

    def apply(self, row: IndexRow) -> IndexRow:
        return row._replace(**self._asdict())


def remake_index(shard: ListedShard, dataset: DatasetToRepair) -> bytes | None:
    """Return the index of an intact shard; None if it cannot be made with its digest.

    A record does not contain the size, the hash and the group of its file. Copies of the record
    in other generations have these values in their rows; otherwise they are those of the source.

    Raises:
        InputNotFoundError: the source does not exist.
        StorageError: storage failed after retries.
    """
    rows = list(_read_rows(shard, dataset.storage))
    for origins in _iter_origins(shard, rows, dataset):
        complete = [origins[row.key].apply(row) if row.key in origins else row for row in rows]
        for rejects in _iter_rejects(shard, rows, dataset):
            content = encode_rows(shard, complete, rejects)
            if digest_of(content) == shard.info.index:
                return content
    return None


def encode_rows(shard: ListedShard, rows: Sequence[IndexRow], rejects: Sequence[Reject]) -> bytes:
    """Return the index of a shard with these rows and rejects."""
    info, settings = shard.info, shard.manifest.settings
    counts = Counter(label for row in rows for label in row.all_labels)
    summary = ShardSummary(
        name=info.name,
        split=shard.split,
        plan_digest=shard.written_by.plan_digest,
        records=len(rows),
        bytes=info.bytes,
        xxh3_128=info.xxh3_128,
        sha256=info.sha256,
        class_records=dict(sorted(counts.items())),
        rejects=tuple(rejects),
    )
    schema = index_schema(settings.columns, multi_label=settings.is_multi_label)
    return encode_index(summary, new_row_table(rows, schema))


def _read_rows(shard: ListedShard, storage: Storage) -> Iterator[IndexRow]:
    """Yield the row of each record, as if its file were stored byte for byte, in no group."""
    columns, is_multi_label, _ = shard.form
    for frame in read_shard(storage, shard.info.name):
        record = shard.decoder.decode(frame.payload)
        values = [*record.columns.values()]
        example = encode_image_example(
            _image_of(record),
            key=key_from_text(record.key),
            labels=record.labels,
            class_names=record.class_names,
            columns=encode_columns(columns, values) if columns else b"",
        )
        yield IndexRow(
            key=record.key,
            label=-1 if is_multi_label else record.labels[0],
            offset=frame.offset,
            length=frame_size_bytes(len(frame.payload)),
            image_offset=frame.offset + HEADER_BYTES + example.image_offset,
            stored_bytes=len(record.image),
            format=record.format,
            width=record.width,
            height=record.height,
            channels=record.channels,
            source_bytes=len(record.image),
            source_xxh3_128=str(xxhash.xxh3_128_hexdigest(record.image)),
            changes=(),
            columns=record.columns,
            labels=record.labels if is_multi_label else None,
        )


def _image_of(record: Record) -> NormalizedImage:
    return NormalizedImage(
        record.image,
        record.format,  # type: ignore[arg-type]
        record.width,
        record.height,
        record.channels,
        (),
    )


def _iter_origins(
    shard: ListedShard, rows: Sequence[IndexRow], dataset: DatasetToRepair
) -> Iterator[Mapping[str, _Origin]]:
    """Yield what may be the origins of records by key: none, of copies, and of the source."""
    yield {}
    stored, source = StoredRecords(dataset.storage, dataset.listed, dataset.damage), dataset.source
    by_key = {row.key: row for row in rows}
    copied = {
        place.row.key: _Origin(*(getattr(place.row, name) for name in _Origin._fields))
        for place in stored.iter_copies(shard, by_key)
        if place.row.stored_bytes == by_key[place.row.key].stored_bytes
    }
    if copied:
        yield copied
    yield copied | _read_origins([row for row in rows if row.key not in copied], source)
    if copied:
        yield _read_origins(rows, source)


def _read_origins(rows: Sequence[IndexRow], source: SourceImages) -> dict[str, _Origin]:
    found: dict[str, _Origin] = {}
    images = source.find([row.key for row in rows])
    normalized = source.normalize(image for image in images if image is not None)
    for row, image in zip(rows, images, strict=True):
        if image is None:
            continue
        read = next(normalized)
        if isinstance(read.normalized, Rejection):
            continue
        changes = read.normalized.changes
        # An image that was encoded again may have other bytes now, with the same changes.
        if changes or read.source_xxh3_128 == row.source_xxh3_128:
            group = hash_group(image.group)
            found[row.key] = _Origin(image.size_bytes, read.source_xxh3_128, changes, group)
    return found


def _iter_rejects(
    shard: ListedShard, rows: Sequence[IndexRow], dataset: DatasetToRepair
) -> Iterator[list[Reject]]:
    """Yield what may be the rejects of a shard, as its summary lists them.

    The images of a split are divided into shards in the order of their hashes. A reject between two
    records of the shard belongs to it; one before the first or after the last record may belong to
    the shard before it or after it.
    """
    yield []
    rejects = _read_planned(shard, dataset)
    seed = shard.manifest.settings.seed
    hashes = hash_keys((key_from_text(reject.key) for reject in rejects), seed)
    own = hash_keys((key_from_text(row.key) for row in rows), seed)
    begin, end = np.searchsorted(hashes, (own.min(), own.max())) if len(own) else (0, 0)
    for before, after in product(range(_MOST_AT_ENDS), repeat=2):
        if before <= begin and end + after <= len(rejects) and begin - before < end + after:
            yield rejects[begin - before : end + after]


def _read_planned(shard: ListedShard, dataset: DatasetToRepair) -> list[Reject]:
    """Return the rejects of a split and a generation that were planned, in the order of hashes.

    The listing of a source rejects other files before the plan.
    """
    generation, manifest = shard.written_by, shard.manifest
    if not generation.counts.rejected:
        return []
    rejects: dict[str, Reject] = {}
    with ignoring_damage(dataset.storage):
        rejects = {each.key: each for each in read_rejects(dataset.storage, generation.number)}
    if not rejects:
        return []
    labels = dataset.listed.manifests.get(generation.number, manifest).labels
    images = dataset.source.find([*rejects])
    planned = [
        _to_image(reject, image, labels)
        for reject, image in zip(rejects.values(), images, strict=True)
        if image is not None or reject.xxh3_128 is not None
    ]
    table = new_image_table(planned).sort("key")
    keys = table["key"].to_pylist()
    hashes = hash_keys(keys, manifest.settings.seed)
    splits = assign_splits(table, hashes, manifest.settings, existing_splits(manifest)).splits
    by_key = {key_from_text(key): reject for key, reject in rejects.items()}
    number = SPLITS.index(shard.split)
    in_order = hashes.argsort(kind="stable")
    return [by_key[keys[place]] for place in in_order if splits[place] == number]


def _to_image(reject: Reject, listed: SourceImage | None, labels: tuple[str, ...]) -> SourceImage:
    """Return a rejected image with its labels then; its class may have another name now."""
    names = reject.classes if reject.class_name is None else (reject.class_name,)
    numbers = [labels.index(name) for name in names if name in labels]
    has_one = reject.class_name is not None
    image = SourceImage(
        key_from_text(reject.key),
        numbers[0] if has_one and numbers else -1,
        reject.bytes,
        labels=None if has_one else sorted(numbers),
    )
    if listed is None:
        return image
    return msgspec.structs.replace(image, split=listed.split, group=listed.group)
