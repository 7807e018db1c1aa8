"""The whole conversion decided before a byte is written: which image goes where, and its digest.

The plan is a pure function of the sources and the settings. Two runs with the same plan write the
same bytes, whatever runs them; the digest is how a run knows its own unfinished work again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
import numpy as np
import pyarrow as pa
import xxhash
from numpy.typing import NDArray

from pipelines.planning.assign_splits import assign_splits
from pipelines.planning.split_hash import Hashes, SplitNumbers, hash_keys
from pipelines.sources.base import Sources
from records.format.label_map import LabelMap
from records.format.layout import SPLITS, SplitName, shard_name
from records.format.manifest import FORMAT_VERSION, Settings, SplitThreshold
from records.runtime.row_table import iter_rows

_BYTES_PER_MB = 1_000_000
_MOST_SHARDS_BY_COUNT = 16
_IMAGES_PER_SHARD = 64


class PlannedImage(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An image as a worker needs it; `url` where it is not below the source."""

    key: bytes
    label: int
    size_bytes: int
    url: str | None = None


class ShardPlan(msgspec.Struct, frozen=True, array_like=True):
    """All of one shard: its images in the order in which they are written."""

    name: str
    split: SplitName
    plan_digest: str
    images: tuple[PlannedImage, ...]


@dataclass(frozen=True, eq=False)
class PlannedShard:
    """A shard's name and its images: rows of the table of all, in the order they are written in."""

    name: str
    split: SplitName
    table: pa.Table
    rows: NDArray[np.intp]

    def __len__(self) -> int:
        """How many images it is planned to have."""
        return len(self.rows)

    @property
    def images(self) -> list[PlannedImage]:
        """Its images; made anew, for those of all shards would take five times the table."""
        mine = self.table.take(pa.array(self.rows))
        return [PlannedImage(*row) for row in iter_rows(mine, *mine.column_names)]

    def to_plan(self, plan_digest: str) -> ShardPlan:
        """What a worker is given of it."""
        return ShardPlan(self.name, self.split, plan_digest, tuple(self.images))


@dataclass(frozen=True)
class Plan:
    """Everything decided.

    Attributes:
        digest: of the format version, the settings, and every image's key, label, split, group and
            size; 32 hexadecimal digits.
        stamp: of every image's modification time or ETag; differs where a file was rewritten, and
            is never compared between datasets.
        cut_offs: the bounds between splits, none where nothing was divided.
        generation: which one of the dataset it makes, from 1.
    """

    settings: Settings
    labels: LabelMap
    shards: tuple[PlannedShard, ...]
    cut_offs: tuple[SplitThreshold, ...]
    digest: str
    stamp: str
    generation: int = 1

    @property
    def images(self) -> int:
        """How many images are planned."""
        return sum(map(len, self.shards))

    def split_images(self) -> dict[SplitName, int]:
        """How many images each split is planned to have."""
        counts: dict[SplitName, int] = {}
        for shard in self.shards:
            counts[shard.split] = counts.get(shard.split, 0) + len(shard)
        return counts


def make_plan(
    sources: Sources,
    settings: Settings,
    *,
    kept: tuple[SplitThreshold, ...] | None = None,
    generation: int = 1,
) -> Plan:
    """Decide split, shard and place of every image.

    Args:
        sources: the images.
        settings: what their bytes depend on.
        kept: the cut-offs of a dataset that they come to: they hold.
        generation: which one of it they are.

    Raises:
        UsageError: a split that is asked for would be empty, or is in the source already.
    """
    images = sources.images.sort("key")
    hashes = hash_keys((key for (key,) in iter_rows(images, "key")), settings.seed)
    splits, cut_offs = assign_splits(images, hashes, settings, kept)
    return Plan(
        settings=settings,
        labels=sources.labels,
        shards=tuple(_make_shards(images, hashes, splits, settings, generation)),
        cut_offs=cut_offs,
        digest=_digest(images, splits, sources.labels, settings),
        stamp=make_fingerprint(images),
        generation=generation,
    )


def _make_shards(
    images: pa.Table, hashes: Hashes, splits: SplitNumbers, settings: Settings, generation: int
) -> Iterator[PlannedShard]:
    """Shards of nearly equal numbers of images, in the order of their hashes: none is left over."""
    sizes_bytes = images["size_bytes"].to_numpy()
    table = _select_planned(images)
    # Stable, over keys in order: two that have one hash lie the same way on every machine.
    order = np.argsort(hashes, kind="stable")
    # What is asked for is for a whole dataset: a night may be a handful of images.
    sizing = settings if generation == 1 else msgspec.structs.replace(settings, shards=None)
    train_images = int(np.count_nonzero(splits == SPLITS.index("train")))
    for number, split in enumerate(SPLITS):
        members = order[splits[order] == number]
        source_bytes = int(sizes_bytes[members].sum())
        count = _count_shards(len(members), source_bytes, train_images or len(members), sizing)
        for shard, rows in enumerate(_divide_evenly(members, count)):
            yield PlannedShard(shard_name(split, shard, count, generation), split, table, rows)


def _select_planned(images: pa.Table) -> pa.Table:
    """What `PlannedImage` has of images; without the last column where it says nothing.

    It would be put together anew for each shard, as long as all images are.
    """
    *columns, last = PlannedImage.__struct_fields__
    return images.select(columns if images[last].null_count == len(images) else [*columns, last])


def _divide_evenly(rows: NDArray[np.intp], count: int) -> Iterator[NDArray[np.intp]]:
    for number in range(count):
        yield rows[number * len(rows) // count : (number + 1) * len(rows) // count]


def _count_shards(images: int, source_bytes: int, train_images: int, settings: Settings) -> int:
    """How many shards a split gets: as asked in proportion, or by size and number of images."""
    if not images:
        return 0
    if settings.shards is not None:
        return min(images, max(1, round(settings.shards * images / train_images)))
    by_size = -(-source_bytes // (settings.shard_mb * _BYTES_PER_MB))
    by_count = min(_MOST_SHARDS_BY_COUNT, images // _IMAGES_PER_SHARD)
    return min(images, max(by_size, by_count, 1))


def _digest(images: pa.Table, splits: SplitNumbers, labels: LabelMap, settings: Settings) -> str:
    """Of every image in the order of keys, and of all that decides on their bytes."""
    digest = xxhash.xxh3_128()
    digest.update(msgspec.json.encode((FORMAT_VERSION, settings, labels), order="sorted"))
    encode = msgspec.msgpack.Encoder().encode
    names = map(SPLITS.__getitem__, splits.data)
    rows = iter_rows(images, "key", "label", "group", "size_bytes")
    for (key, label, group, size_bytes), split in zip(rows, names, strict=True):
        digest.update(encode((key, label, split, group, size_bytes)))
    return str(digest.hexdigest())


def make_fingerprint(images: pa.Table) -> str:
    """Of the modification time or ETag of every image, in the order of keys."""
    digest = xxhash.xxh3_128()
    encode = msgspec.msgpack.Encoder().encode
    for row in iter_rows(images, "key", "stamp"):
        digest.update(encode(row))
    return str(digest.hexdigest())
