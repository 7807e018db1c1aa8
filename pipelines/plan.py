"""The whole conversion decided before a byte is written: which image goes where, and its digest.

The plan is a pure function of the sources and the settings. Two runs with the same plan write the
same bytes, whatever runs them; the digest is how a run knows its own unfinished work again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter

import msgspec
import xxhash

from pipelines.sources import SourceImage, Sources
from pipelines.splits import (
    Bounds,
    find_bounds,
    find_bounds_by_label,
    hash_key,
    split_of,
    to_cut_off,
)
from records.errors import UsageError
from records.labels import LabelMap
from records.layout import SPLITS, Split, shard_name
from records.manifest import FORMAT_VERSION, CutOff, Settings

_BYTES_PER_MB = 1_000_000
_MOST_SHARDS_BY_COUNT = 16
_IMAGES_PER_SHARD = 64


class PlannedImage(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An image as a worker needs it; `url` where it is not below the source."""

    key: bytes
    label: int
    size_bytes: int
    url: str | None


class ShardPlan(msgspec.Struct, frozen=True, array_like=True):
    """All of one shard: its images in the order in which they are written."""

    name: str
    split: Split
    plan_digest: str
    images: tuple[PlannedImage, ...]


@dataclass(frozen=True)
class PlannedShard:
    """A shard's name and its images, as the sources have them."""

    name: str
    split: Split
    images: Sequence[SourceImage]

    def to_plan(self, plan_digest: str) -> ShardPlan:
        """What a worker is given of it."""
        images = (PlannedImage(i.key, i.label, i.size_bytes, i.url) for i in self.images)
        return ShardPlan(self.name, self.split, plan_digest, tuple(images))


@dataclass(frozen=True)
class Plan:
    """Everything decided.

    Attributes:
        digest: of the format version, the settings, and every image's key, label, split, group and
            size; 32 hexadecimal digits.
        stamp: of every image's modification time or ETag; differs where a file was rewritten, and
            is never compared between datasets.
        cut_offs: the bounds between splits, none where nothing was divided.
    """

    settings: Settings
    labels: LabelMap
    shards: tuple[PlannedShard, ...]
    cut_offs: tuple[CutOff, ...]
    digest: str
    stamp: str

    @property
    def images(self) -> int:
        """How many images are planned."""
        return sum(len(shard.images) for shard in self.shards)

    def split_images(self) -> dict[Split, int]:
        """How many images each split is planned to have."""
        counts: dict[Split, int] = {}
        for shard in self.shards:
            counts[shard.split] = counts.get(shard.split, 0) + len(shard.images)
        return counts


def make_plan(sources: Sources, settings: Settings) -> Plan:
    """Decide split, shard and place of every image.

    Raises:
        UsageError: a split that is asked for would be empty, or is in the source already.
    """
    by_split, cut_offs = _divide(sources.images, settings)
    shards: list[PlannedShard] = []
    for split in SPLITS:
        if members := by_split.get(split):
            count = _count_shards(members, len(by_split.get("train", members)), settings)
            shards += _cut(split, members, count, settings.seed)
    ordered = sorted(sources.images, key=attrgetter("key"))
    splits = {image.key: shard.split for shard in shards for image in shard.images}
    return Plan(
        settings=settings,
        labels=sources.labels,
        shards=tuple(shards),
        cut_offs=cut_offs,
        digest=_digest(ordered, splits, sources.labels, settings),
        stamp=_stamp(ordered),
    )


def _divide(
    images: Sequence[SourceImage], settings: Settings
) -> tuple[dict[Split, list[SourceImage]], tuple[CutOff, ...]]:
    by_split: dict[Split, list[SourceImage]] = defaultdict(list)
    divided: list[SourceImage] = []
    for image in images:
        if image.split in {None, "train"}:
            divided.append(image)
        else:
            by_split[image.split or "train"].append(image)
    asked: dict[Split, object] = {"test": settings.test, "validation": settings.validation}
    for split, amount in asked.items():
        if amount is not None and split in by_split:
            raise UsageError(
                f"the source has a split {split} already", hint=f"leave --{split} away"
            )
    hashes = [hash_key(_divided_by(image), settings.seed) for image in divided]
    bounds = _bounds(divided, hashes, settings)
    for image, hashed in zip(divided, hashes, strict=True):
        mine = bounds.get(image.label if settings.stratify else None, Bounds(0, 0))
        by_split[split_of(hashed, mine)].append(image)
    _refuse_empty([split for split, amount in asked.items() if amount is not None], by_split)
    was_asked = any(amount is not None for amount in asked.values())
    cut_offs = tuple(to_cut_off(label, pair) for label, pair in bounds.items())
    return by_split, cut_offs if was_asked else ()


def _divided_by(image: SourceImage) -> bytes:
    return image.key if image.group is None else image.group


def _bounds(
    divided: Sequence[SourceImage], hashes: Sequence[int], settings: Settings
) -> dict[int | None, Bounds]:
    if settings.stratify:
        labelled = ((image.label, h) for image, h in zip(divided, hashes, strict=True))
        found = find_bounds_by_label(labelled, settings.test, settings.validation)
        return dict(found.items())
    return {None: find_bounds(hashes, settings.test, settings.validation)}


def _refuse_empty(asked: Iterable[Split], by_split: dict[Split, list[SourceImage]]) -> None:
    present = sum(map(len, by_split.values()))
    wanted: list[Split] = [*asked]
    if not wanted or not present:
        return
    for split in (*wanted, "train"):
        if not by_split.get(split):
            raise UsageError(
                f"the split {split} would be empty",
                got=f"{present} images",
                hint="ask for more, or for exact numbers: --test-count N, --validation-count N "
                "(not with groups)",
            )


def _count_shards(members: Sequence[SourceImage], train_images: int, settings: Settings) -> int:
    """How many shards a split gets: as asked in proportion, or by size and number of images."""
    if settings.shards is not None:
        return min(len(members), max(1, round(settings.shards * len(members) / train_images)))
    source_bytes = sum(image.size_bytes for image in members)
    by_size = -(-source_bytes // (settings.shard_mb * _BYTES_PER_MB))
    by_count = min(_MOST_SHARDS_BY_COUNT, len(members) // _IMAGES_PER_SHARD)
    return min(len(members), max(by_size, by_count, 1))


def _cut(
    split: Split, members: Iterable[SourceImage], count: int, seed: int
) -> Iterator[PlannedShard]:
    """Shards of nearly equal numbers of images, in the order of their hashes: none is left over."""
    # No two images have one key, so that images themselves are never compared.
    hashed = sorted((hash_key(image.key, seed), image.key, image) for image in members)
    ordered = [image for _, _, image in hashed]
    for number in range(count):
        first = number * len(ordered) // count
        end = (number + 1) * len(ordered) // count
        yield PlannedShard(shard_name(split, number, count), split, ordered[first:end])


def _digest(
    ordered: Iterable[SourceImage],
    splits: dict[bytes, Split],
    labels: LabelMap,
    settings: Settings,
) -> str:
    digest = xxhash.xxh3_128()
    digest.update(msgspec.json.encode((FORMAT_VERSION, settings, labels), order="sorted"))
    encode = msgspec.msgpack.Encoder().encode
    for i in ordered:
        digest.update(encode((i.key, i.label, splits[i.key], i.group, i.size_bytes)))
    return str(digest.hexdigest())


def _stamp(ordered: Iterable[SourceImage]) -> str:
    digest = xxhash.xxh3_128()
    encode = msgspec.msgpack.Encoder().encode
    for image in ordered:
        digest.update(encode((image.key, image.stamp)))
    return str(digest.hexdigest())
