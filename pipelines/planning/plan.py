"""The plan of a conversion: shards, their images, and a digest.

The plan is a pure function of the sources and the settings. Two runs with the same plan write the
same bytes, with any runner. A run recognizes its own unfinished work by the digest of the plan.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice, starmap
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash
from numpy.typing import NDArray

from pipelines.planning.assign_splits import assign_splits
from pipelines.planning.existing_splits import ExistingSplits
from pipelines.planning.replaced_shards import ReplacedShard
from pipelines.planning.split_hash import Hashes, SplitNumbers, hash_keys
from pipelines.sources.base import WORKER_FIELDS, SourceImage, Sources
from records.format.columns import Columns
from records.format.digest import FORMAT_VERSION
from records.format.label_map import LabelMap
from records.format.layout import SPLITS, SplitName, shard_name
from records.format.manifest import Settings, SplitThreshold
from records.runtime.row_table import from_numbers, iter_rows

_BYTES_PER_MB = 1_000_000
_MAX_SHARDS_BY_COUNT = 16
_IMAGES_PER_SHARD = 64
_BLOCK_ROWS = 1024


class ShardPlan(msgspec.Struct, frozen=True, array_like=True):
    """The plan of one shard, sent to its worker: images in the order of the records."""

    name: str
    split: SplitName
    plan_digest: str
    images: tuple[SourceImage, ...]
    columns: Columns = ()
    multi_label: bool = False


@dataclass(frozen=True, eq=False)
class PlannedShard:
    """A shard of a plan.

    Attributes:
        name: file name.
        split: split of the shard.
        table: table of the `WORKER_FIELDS` of all images of the plan.
        rows: rows of `table` in this shard, in the order of the records, (N,).
    """

    name: str
    split: SplitName
    table: pa.Table
    rows: NDArray[np.intp]

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.rows)

    @property
    def images(self) -> list[SourceImage]:
        """Return the images as new objects.

        Objects for the images of all shards would take five times the memory of the table.
        """
        images = self.table.take(from_numbers(self.rows))
        return list(starmap(SourceImage, iter_rows(images, *images.column_names)))

    def to_plan(self, plan: Plan) -> ShardPlan:
        """Return the plan that the worker of this shard receives."""
        settings, images = plan.settings, tuple(self.images)
        return ShardPlan(
            self.name, self.split, plan.digest, images, settings.columns, settings.is_multi_label
        )


@dataclass(frozen=True)
class Plan:
    """All decisions of a conversion.

    Attributes:
        settings: options that determine the bytes of the dataset.
        labels: the label map.
        shards: shards of all splits.
        thresholds: hash thresholds of the splits; empty if no split was requested.
        digest: digest of the format version, the settings, and the key, labels, split, group, size
            and columns of every image; 32 hexadecimal digits.
        fingerprint: digest of the modification time or ETag of every image. It changes if a file is
            modified, and is never compared between datasets.
        generation: the generation of the dataset that the plan writes, from 1.
        copies: shards with records of earlier generations, of all splits.
        replaced: the shards of earlier generations that the copies replace, by name.
    """

    settings: Settings
    labels: LabelMap
    shards: tuple[PlannedShard, ...]
    thresholds: tuple[SplitThreshold, ...]
    digest: str
    fingerprint: str
    generation: int = 1
    copies: tuple[PlannedShard, ...] = ()
    replaced: Mapping[str, ReplacedShard] = field(default_factory=dict)

    @property
    def images(self) -> int:
        """Return the number of images, without the records of copies."""
        return sum(map(len, self.shards))

    @property
    def all_shards(self) -> tuple[PlannedShard, ...]:
        """Return the shards to write, the copies first."""
        return (*self.copies, *self.shards)

    def split_images(self) -> dict[SplitName, int]:
        """Return the number of images of each split."""
        counts: dict[SplitName, int] = {}
        for shard in self.shards:
            counts[shard.split] = counts.get(shard.split, 0) + len(shard)
        return counts


def make_plan(
    sources: Sources,
    settings: Settings,
    *,
    existing: ExistingSplits | None = None,
    generation: int = 1,
    is_split: bool = False,
) -> Plan:
    """Assign split, shard and position to every image.

    Args:
        sources: the images.
        settings: options that determine the bytes of the dataset.
        existing: the splits of the dataset, for an append or a compaction.
        generation: the generation of the dataset to write.
        is_split: whether every image has its split already, for a compaction, which plans all
            images of the dataset.

    Raises:
        UsageError: a requested split would be empty, or the source already has that split.
    """
    images = sources.images.sort("key")
    hashes = hash_keys((key for (key,) in iter_rows(images, "key")), settings.seed)
    splits, thresholds = assign_splits(images, hashes, settings, existing, is_split=is_split)
    is_whole = generation == 1 or is_split
    return Plan(
        settings=settings,
        labels=sources.labels,
        shards=tuple(_make_shards(images, hashes, splits, settings, generation, is_whole=is_whole)),
        thresholds=thresholds,
        digest=_digest(images, splits, sources.labels, settings),
        fingerprint=make_fingerprint(images),
        generation=generation,
    )


def _make_shards(
    images: pa.Table,
    hashes: Hashes,
    splits: SplitNumbers,
    settings: Settings,
    generation: int,
    *,
    is_whole: bool,
) -> Iterator[PlannedShard]:
    """Sort the images of each split by hash, and yield shards with nearly equal image counts.

    If the images are not all of the dataset, only --shard-mb applies.
    """
    sizes_bytes = images["size_bytes"].to_numpy()
    if settings.columns:
        sizes_bytes = sizes_bytes + pc.binary_length(images["columns"]).to_numpy()
    table = worker_table(images)
    # A stable sort of sorted keys: images with equal hashes have the same order on every machine.
    order = np.argsort(hashes, kind="stable")
    train_images = int(np.count_nonzero(splits == SPLITS.index("train")))
    for number, split in enumerate(SPLITS):
        members = order[splits[order] == number]
        source_bytes = int(sizes_bytes[members].sum())
        count = _count_by_size(source_bytes, settings)
        # The shards of all generations are read in parallel: many small ones cost only requests.
        if is_whole:
            count = _count_shards(len(members), count, train_images or len(members), settings)
        count = min(count, len(members))
        for shard, rows in enumerate(_divide_evenly(members, count)):
            yield PlannedShard(shard_name(split, shard, count, generation), split, table, rows)


def worker_table(images: pa.Table) -> pa.Table:
    """Return the columns of `WORKER_FIELDS`. Columns without values become columns of type null.

    These columns take no memory. Otherwise, `PlannedShard.images` would concatenate their batches
    for each shard.
    """
    columns = [
        pa.nulls(len(images)) if images[name].null_count == len(images) else images[name]
        for name in WORKER_FIELDS
    ]
    return pa.table(columns, names=list(WORKER_FIELDS))


def _divide_evenly(rows: NDArray[np.intp], count: int) -> Iterator[NDArray[np.intp]]:
    for number in range(count):
        yield rows[number * len(rows) // count : (number + 1) * len(rows) // count]


def _count_by_size(source_bytes: int, settings: Settings) -> int:
    """Return the smallest number of shards of a split, at least 1, from --shard-mb."""
    return max(1, -(-source_bytes // (settings.shard_mb * _BYTES_PER_MB)))


def _count_shards(images: int, by_size: int, train_images: int, settings: Settings) -> int:
    """Return the number of shards of a split of a new dataset, from --shards or its images."""
    if settings.shards is not None:
        return max(1, round(settings.shards * images / max(1, train_images)))
    return max(by_size, min(_MAX_SHARDS_BY_COUNT, images // _IMAGES_PER_SHARD))


def _digest(images: pa.Table, splits: SplitNumbers, labels: LabelMap, settings: Settings) -> str:
    """Return the digest of all data that determine the dataset; `images` are in key order."""
    digest = xxhash.xxh3_128()
    digest.update(msgspec.json.encode((FORMAT_VERSION, settings, labels), order="sorted"))
    names = pa.DictionaryArray.from_arrays(from_numbers(splits), pa.array(SPLITS, pa.string()))
    rows = images.set_column(images.column_names.index("split"), "split", names)
    _update(digest, iter_rows(rows, "key", "label", "split", "group", "size_bytes"))
    for name in ("labels", "columns"):
        if images[name].null_count < len(images):
            _update(digest, iter_rows(images, name))
    return str(digest.hexdigest())


def make_fingerprint(images: pa.Table) -> str:
    """Return the digest of the fingerprints of images.

    Args:
        images: table of key and fingerprint, in key order.
    """
    digest = xxhash.xxh3_128()
    _update(digest, iter_rows(images, "key", "fingerprint"))
    return str(digest.hexdigest())


def _update(digest: xxhash.xxh3_128, rows: Iterator[tuple[Any, ...]]) -> None:
    """Add the MessagePack encoding of each row to a digest."""
    while block := list(islice(rows, _BLOCK_ROWS)):
        encoded = memoryview(msgspec.msgpack.encode(block))
        # An array is its header, of 1 byte up to 15 items and of 3 up to 65,535, and its items.
        digest.update(encoded[1 if len(block) < 16 else 3 :])
