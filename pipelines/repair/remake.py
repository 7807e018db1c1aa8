"""A damaged shard, written again from intact records and source files."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from pipelines.repair.dataset import DatasetToRepair
from pipelines.repair.listed import ListedShard
from pipelines.repair.source import SourceImages
from pipelines.repair.stored import Place, StoredRecords
from pipelines.sources.base import SourceImage
from pipelines.writing.prefetch import PrefetchedImage
from records.format.columns import encode_columns
from records.format.index import IndexRow, read_shard_index
from records.format.manifest import ShardInfo
from records.format.shard import ShardWriter
from records.images import NormalizedImage, Rejection
from records.images.features import encode_image_example
from records.text.keys import key_from_text


class NotTheSameError(Exception):
    """A file that was made again does not have the hash in the manifest: it is not written."""


@dataclass
class Remade:
    """The result of writing a shard again.

    Attributes:
        from_dataset: the number of records from files of the dataset.
        from_source: the number of images from the source.
        reencoded: the number of these that the conversion encoded.
        missing: the keys of the records that neither has.
        is_identical: whether the shard has the hashes in the manifest.
    """

    from_dataset: int = 0
    from_source: int = 0
    reencoded: int = 0
    missing: list[str] = field(default_factory=list)
    is_identical: bool = False


def remake_shard(shard: ListedShard, dataset: DatasetToRepair) -> Remade:
    """Write a damaged shard with an intact index again, if it gets the hashes in the manifest.

    Raises:
        InputNotFoundError: the source does not exist.
        OutputError: the dataset cannot be written to.
        StorageError: storage failed after retries.
    """
    index = read_shard_index(dataset.storage, shard.info, shard.form)
    stored = StoredRecords(dataset.storage, dataset.listed, dataset.damage)
    records = [*zip(index.rows(), stored.find(shard, index), strict=True)]
    remade = _write(shard, records, stored, dataset)
    if not (remade.is_identical or remade.missing) and remade.from_dataset:
        # A record with correct checksums may have another image, with the sizes of the right one.
        again = _write(shard, [(row, None) for row, _ in records], stored, dataset)
        return remade if again.missing else again
    return remade


def _write(
    shard: ListedShard,
    records: Sequence[tuple[IndexRow, Place | None]],
    stored: StoredRecords,
    dataset: DatasetToRepair,
) -> Remade:
    """Write the records of a shard; those without a place in the dataset are made from files."""
    remade, source = Remade(), dataset.source
    lost = [row for row, place in records if place is None]
    found = _find_files(lost, source) if lost else []
    normalized = source.normalize(image for image in found if image is not None)
    files = iter(found)
    with suppress(NotTheSameError), dataset.overwrite(shard.info.name) as staged:
        writer = ShardWriter(staged)
        for row, place in records:
            if place is not None:
                payload = stored.read(place, row, shard.manifest.labels)
                remade.from_dataset += payload is not None
            else:
                has_file = next(files) is not None
                image = _normalize(row, next(normalized), source) if has_file else None
                payload = None if image is None else encode_row(row, image, shard)
                remade.from_source += image is not None
                remade.reencoded += image is not None and bool(image.changes)
            if payload is None:
                remade.missing.append(row.key)
            elif not remade.missing:
                writer.write(payload)
        remade.is_identical = not remade.missing and has_hashes(writer, shard.info)
        if not remade.is_identical:
            raise NotTheSameError
    return remade


def has_hashes(writer: ShardWriter, info: ShardInfo) -> bool:
    """Return whether the bytes that were written are those of a shard."""
    return (writer.xxh3_128, writer.sha256) == (info.xxh3_128, info.sha256)


def _find_files(rows: Sequence[IndexRow], source: SourceImages) -> list[SourceImage | None]:
    """Return the file of each record: the one with its key, if the size is the same."""
    found = source.find([row.key for row in rows])
    return [
        image
        if image is not None and image.size_bytes == row.source_bytes
        else source.find_content(row)
        for row, image in zip(rows, found, strict=True)
    ]


def _normalize(
    row: IndexRow, found: PrefetchedImage, source: SourceImages
) -> NormalizedImage | None:
    """Return the normalized image of a record; None if the source does not have its file."""
    if found.source_xxh3_128 != row.source_xxh3_128:
        renamed = source.find_content(row)
        if renamed is None:
            return None
        found = next(source.normalize([renamed]))
    if found.source_xxh3_128 != row.source_xxh3_128 or isinstance(found.normalized, Rejection):
        return None
    return found.normalized


def encode_row(row: IndexRow, image: NormalizedImage, shard: ListedShard) -> bytes:
    """Return the payload of a record, with the key, the labels and the columns of its row."""
    labels, columns = shard.manifest.labels, shard.manifest.settings.columns
    return encode_image_example(
        image,
        key=key_from_text(row.key),
        labels=row.all_labels,
        class_names=tuple(labels[label] for label in row.all_labels),
        columns=encode_columns(columns, [*row.columns.values()]) if columns else b"",
    ).payload
