"""Names on disk, in one place."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from records.storage.names import LEASE as LEASE
from records.storage.names import WORK_FOLDER as WORK_FOLDER

SplitName = Literal["train", "test", "validation"]
SPLITS: tuple[SplitName, ...] = ("train", "test", "validation")

MANIFEST = "dataset.json"
LABELS = "labels.txt"
REJECTS = "rejects.jsonl"
REPORT = "report.json"
TFDS_INFO = "dataset_info.json"
TFDS_FEATURES = "features.json"
INDEX_FOLDER = "index"
MTIMES = "generations/stamps.parquet"
"""When each file was last seen unchanged, for the next night; no part of the dataset."""
HASHES_FOLDER = "hashes"
"""What `stats --near` keeps; no part of the dataset."""

SHARD_PATTERN = r"(?:generations/\d{4}/)?(train|test|validation)-(\d{5,})-of-(\d{5,})\.tfrecord"
_SHARD = re.compile(SHARD_PATTERN)
ADOPTED_PATTERN = r"(?:\w[\w .@=+,()-]*/)*\w[\w .@=+,()-]*"
"""A file that others wrote, below the dataset's folder: no part leads out of it or is hidden."""


class ShardName(NamedTuple):
    """The parts of a shard's name: its number, from 0, of how many."""

    split: SplitName
    number: int
    of: int


def generation_folder(generation: int) -> str:
    """Where a generation lies: the first in the dataset's own folder, `""`, later ones below it."""
    return "" if generation == 1 else f"generations/{generation:04d}"


def generation_path(name: str, generation: int) -> str:
    """A file of a generation's folder: `generations/0002/rejects.jsonl`."""
    return f"{generation_folder(generation)}/{name}".lstrip("/")


def shard_name(split: SplitName, number: int, count: int, generation: int = 1) -> str:
    """`train-00000-of-00008.tfrecord`."""
    return generation_path(f"{split}-{number:05d}-of-{count:05d}.tfrecord", generation)


def parent(name: str) -> str:
    """The folder that a file of the dataset is in, `""` for the dataset's own."""
    return name.rpartition("/")[0]


def parse_shard_name(name: str) -> ShardName | None:
    """The parts of a shard's name, or None where `name` is not one."""
    match = _SHARD.fullmatch(name)
    if match is None:
        return None
    split: SplitName = match[1]  # type: ignore[assignment]
    number, of = int(match[2]), int(match[3])
    return ShardName(split, number, of) if number < of else None


def index_name(shard: str) -> str:
    """The index of a shard: `index/train-00000-of-00008.parquet` beside its generation's shards.

    That of a file that others wrote has the file's whole name: `index/train.record.parquet`.
    """
    return _beside(shard, INDEX_FOLDER)


def phash_name(shard: str) -> str:
    """A shard's picture hashes: `hashes/train-00000-of-00008.parquet`, likewise."""
    return _beside(shard, HASHES_FOLDER)


def _beside(shard: str, below: str) -> str:
    folder, _, file = shard.rpartition("/")
    prefix = f"{folder}/" if folder else ""
    # Others' files may differ in their extensions alone.
    stem = file.removesuffix(".tfrecord") if _SHARD.fullmatch(shard) else file
    return f"{prefix}{below}/{stem}.parquet"
