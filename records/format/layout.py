"""Names of the files and folders of a dataset."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

from records.storage import names

SplitName = Literal["train", "test", "validation"]
SPLITS: tuple[SplitName, ...] = ("train", "test", "validation")
Layout = Literal["classes", "splits"]
"""Whether the top folders of a source are class folders, or split folders that contain them."""
SPLIT_WORDS: Mapping[str, SplitName] = {
    "train": "train",
    "training": "train",
    "test": "test",
    "testing": "test",
    "holdout": "test",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "eval": "validation",
    "evaluation": "validation",
}
"""Lower-case words for splits, in names of folders and files and in columns of lists."""
_SPLIT_NAME = re.compile(
    rf"(?:split[ _-])?({'|'.join(SPLIT_WORDS)})"
    r"(?:[ _-]?(?:sets?|data|dataset|split|images?|imgs?))?"
    r"(?:[ _-]?(?:1|(?:19|20)[0-9]{2}))?"
)
_LONGEST_SPLIT_NAME = 40

WORK_FOLDER = names.WORK_FOLDER
LEASE = names.LEASE
RUN_PLAN = names.RUN_PLAN
MANIFEST = "dataset.json"
LABELS = "labels.txt"
REJECTS = "rejects.jsonl"
SKIPPED = "skipped.jsonl"
REMOVED = "removed.jsonl"
RELABELLED = "relabelled.jsonl"
REPORT = "report.json"
PROVENANCE = "provenance.json"
TFDS_INFO = "dataset_info.json"
TFDS_FEATURES = "features.json"
CROISSANT = "croissant.json"
CARD = "README.md"
"""The dataset card; not part of the dataset, because its users may change it."""
SIGNATURE = "dataset.intoto.jsonl"
"""The signature of a generation; not part of the dataset."""
SIDE_FILES = (
    LABELS, REJECTS, SKIPPED, REMOVED, RELABELLED, REPORT, PROVENANCE, TFDS_INFO, TFDS_FEATURES,
    CROISSANT,
)  # fmt: skip
"""The files of a dataset other than shards, indexes and the manifest; a generation may have all."""
INDEX_FOLDER = "index"
FINGERPRINTS = "generations/fingerprints.parquet"
"""Fingerprints of source files, for the next incremental run; not part of the dataset."""
HASHES_FOLDER = "hashes"
"""Perceptual hashes, the cache of `stats --near`; not part of the dataset."""
QUALITY_FOLDER = "quality"
"""Measurements of the pixels, the cache of `quality`; not part of the dataset."""
MEASUREMENT_FOLDERS = (HASHES_FOLDER, QUALITY_FOLDER)

_NUMBER = "(?:[0-9]{4}|[1-9][0-9]{4,8})"
"""The number of a generation in the name of its folder: at least four digits."""
SHARD_PATTERN = (
    rf"(?:generations/{_NUMBER}/)?(train|test|validation)"
    r"-(\d{5,})-of-(\d{5,})\.tfrecord"
)
_SHARD = re.compile(SHARD_PATTERN)
_SAVED_MANIFEST = re.compile(rf"generations/({_NUMBER})/{re.escape(MANIFEST)}")
_GENERATION_FILE = re.compile(rf"(?:generations/{_NUMBER}/)?(.+)", re.DOTALL)
ADOPTED_PATTERN = r"(?:\w[\w .@=+,()-]*/)*\w[\w .@=+,()-]*"
"""Pattern of the name of an adopted file: a path in the dataset folder, no part of it hidden."""


class ShardName(NamedTuple):
    """The parts of a shard name: the split, the shard number from 0, and the number of shards."""

    split: SplitName
    number: int
    of: int


def parse_split(name: str | bytes) -> SplitName | None:
    """Return the split that a name stands for, None if it stands for no split.

    Case and surrounding blanks do not matter; `Training`, `test_set`, `test1`, `val2017` and
    `Split-eval` are names of splits too.
    """
    text = name if isinstance(name, str) else name.decode("utf-8", "replace")
    match = _SPLIT_NAME.fullmatch(text.strip().lower()) if len(text) < _LONGEST_SPLIT_NAME else None
    return SPLIT_WORDS[match[1]] if match else None


def detect_layout(folders: Iterable[bytes]) -> Layout:
    """Return `splits` if every top folder is named after a split, otherwise `classes`."""
    top = {folder for folder in folders if b"/" not in folder}
    return "splits" if top and all(parse_split(folder) for folder in top) else "classes"


def generation_folder(generation: int) -> str:
    """Return the folder of a generation; `""`, the dataset folder, for the first generation."""
    return "" if generation == 1 else f"generations/{generation:04d}"


def generation_path(name: str, generation: int) -> str:
    """Return the name of a file of a generation, such as `generations/0002/rejects.jsonl`."""
    return f"{generation_folder(generation)}/{name}".lstrip("/")


def shard_name(split: SplitName, number: int, count: int, generation: int = 1) -> str:
    """Return the name of a shard, such as `train-00000-of-00008.tfrecord`."""
    return generation_path(f"{split}-{number:05d}-of-{count:05d}.tfrecord", generation)


def saved_manifest_name(generation: int) -> str:
    """Return the name of a saved manifest, such as `generations/0001/dataset.json`."""
    return f"generations/{generation:04d}/{MANIFEST}"


def pruned_name(generation: int) -> str:
    """Return the name of the file that marks a generation whose files `prune` is removing."""
    return f"generations/{generation:04d}/pruned"


def parse_saved_manifest(name: str) -> int | None:
    """Return the generation of a saved manifest; None if `name` is not the name of one."""
    match = _SAVED_MANIFEST.fullmatch(name)
    return int(match[1]) if match else None


def parent(name: str) -> str:
    """Return the folder of a file of the dataset; `""` for the dataset folder."""
    return name.rpartition("/")[0]


def parse_shard_name(name: str) -> ShardName | None:
    """Return the parts of a shard name; None if `name` is not a shard name."""
    match = _SHARD.fullmatch(name)
    if match is None:
        return None
    split: SplitName = match[1]  # type: ignore[assignment]
    number, of = int(match[2]), int(match[3])
    return ShardName(split, number, of) if number < of else None


def is_dataset_file(name: str) -> bool:
    """Return whether a run may write a file of this name, other than the manifest.

    These are shards, indexes, side files and saved manifests.
    """
    match = _GENERATION_FILE.fullmatch(name)
    below = match[1] if match else ""
    is_index = parent(below) == INDEX_FOLDER and below.endswith(".parquet")
    is_saved = parse_saved_manifest(name) is not None
    return below in SIDE_FILES or is_index or is_saved or parse_shard_name(name) is not None


def index_name(shard: str) -> str:
    """Return the name of the index of a shard, such as `index/train-00000-of-00008.parquet`.

    For an adopted file, the index name contains the full file name: `index/train.record.parquet`.
    """
    return _sibling(shard, INDEX_FOLDER)


def measurement_name(shard: str, folder: str) -> str:
    """Return the name of the measurements of a shard: `hashes/train-00000-of-00008.parquet`."""
    return _sibling(shard, folder)


def measurement_names(shard: str) -> list[str]:
    """Return the names of all measurements of a shard."""
    return [measurement_name(shard, folder) for folder in MEASUREMENT_FOLDERS]


def measured_shard(name: str) -> str | None:
    """Return the converted shard whose measurements a file of this name has; None for others."""
    folder, _, file = name.rpartition("/")
    above, _, kind = folder.rpartition("/")
    shard = f"{above}/{file.removesuffix('.parquet')}.tfrecord".lstrip("/")
    if kind not in MEASUREMENT_FOLDERS or parse_shard_name(shard) is None:
        return None
    return shard if measurement_name(shard, kind) == name else None


def _sibling(shard: str, subfolder: str) -> str:
    folder, _, file = shard.rpartition("/")
    prefix = f"{folder}/" if folder else ""
    # Adopted files may differ only in their extensions.
    stem = file.removesuffix(".tfrecord") if _SHARD.fullmatch(shard) else file
    return f"{prefix}{subfolder}/{stem}.parquet"
