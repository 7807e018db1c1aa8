"""The manifest, `dataset.json`: written last, so it is there exactly when the dataset is whole.

Frozen, versioned and canonical: the same dataset is the same bytes. Nothing in it tells of the
machine or the hour. Whatever is read is checked strictly, for a manifest may come from anybody.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from records.errors import CorruptDataError, InputNotFoundError, UsageError
from records.format import layout
from records.format.image_options import ImageOptions
from records.format.label_map import check_labels
from records.format.layout import SplitName
from records.format.schema import FeatureNames
from records.storage import Storage
from records.strict_json import decode_versioned, encode_canonical

FORMAT_VERSION = 1
ADOPTED_VERSION = 2
"""That of datasets of adopted files, which earlier programs cannot read."""

Count = Annotated[int, msgspec.Meta(ge=0)]
Digest = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$")]
HashBound = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{16}$")]
SplitSize = int | float
"""How much goes into a split: a fraction where it is a float, a count where it is an int."""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The options of a conversion that its bytes depend on."""

    images: ImageOptions = ImageOptions()
    seed: int = 0
    test: SplitSize | None = None
    validation: SplitSize | None = None
    stratify: bool = False
    group_by: str | None = None
    shards: int | None = None
    shard_mb: int = 128


class SplitThreshold(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which hashes a split takes, the bounds as 16 hexadecimal digits.

    `test` takes those below its bound, `validation` the others below its own, `train` the rest;
    `label` is None where all classes share them.
    """

    label: Count | None
    test: HashBound
    validation: HashBound


class Counts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What became of everything found: `found` is the sum of the other four."""

    found: Count
    stored: Count
    rejected: Count
    skipped: Count
    excluded: Count


class Generation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one conversion added, numbered from 1, and the encoders that made its bytes."""

    number: Annotated[int, msgspec.Meta(ge=1)]
    plan_digest: Digest
    encoders: dict[str, str]
    counts: Counts


class ShardInfo(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A shard as it must lie there.

    `excluded_records` counts records of an adopted file that are not of the dataset, and not in `records`.
    """

    name: Annotated[str, msgspec.Meta(pattern=rf"^{layout.ADOPTED_PATTERN}\Z", max_length=1024)]
    records: Count
    bytes: Count
    xxh3_128: Digest
    excluded_records: Count = msgspec.field(default=0, name="left_out")


class SplitInfo(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A split: how many records each class has in it (by label), and its shards in order."""

    records: Count
    bytes: Count
    class_records: tuple[Count, ...]
    shards: tuple[ShardInfo, ...]


class ExternalFormat(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How to read records that others wrote.

    Args:
        features: where they have what.
        first_label: the number of the first class in them; ours is 0 always.
        preexisting: files of this dataset's names that were there before, and are not ours.
    """

    features: FeatureNames
    first_label: Literal[0, 1]
    preexisting: tuple[Literal["labels.txt", "dataset_info.json", "features.json"], ...] = (
        msgspec.field(name="theirs")
    )


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """All of `dataset.json`."""

    format_version: int
    labels: tuple[str, ...]
    settings: Settings
    splits: dict[SplitName, SplitInfo]
    thresholds: tuple[SplitThreshold, ...] = msgspec.field(name="cut_offs")
    generations: tuple[Generation, ...]
    adopted: ExternalFormat | None = None


def shard_names(manifest: Manifest) -> set[str]:
    """Every shard there is."""
    return {shard.name for split in manifest.splits.values() for shard in split.shards}


def encode_manifest(manifest: Manifest) -> bytes:
    """The canonical bytes of a manifest."""
    return encode_canonical(manifest)


def read_manifest(storage: Storage) -> Manifest:
    """The manifest of a finished dataset, checked.

    Raises:
        InputNotFoundError: there is none: nothing was converted here, or not to its end.
        CorruptDataError: it is not one, or contradicts itself, or is of a later version.
    """
    try:
        content = storage.read(layout.MANIFEST)
    except FileNotFoundError:
        unfinished = bool(storage.list(layout.WORK_FOLDER))
        raise InputNotFoundError(
            "there is no finished dataset here" + (": a conversion has not ended" * unfinished),
            path=storage.url,
            expected=f"a file {layout.MANIFEST}",
            hint="run the same `shardmill convert` again: it goes on where it stopped"
            if unfinished
            else "make one with `shardmill convert SOURCE TARGET`",
        ) from None
    return decode_manifest(content, path=storage.display_name(layout.MANIFEST))


def decode_manifest(content: bytes, *, path: str) -> Manifest:
    """A manifest from its bytes. Raises CorruptDataError, with `path` in it."""
    manifest = decode_versioned(
        content, Manifest, version=ADOPTED_VERSION, what="a manifest", path=path
    )
    _check(manifest, path)
    return manifest


def _check(manifest: Manifest, path: str) -> None:
    try:
        check_labels(manifest.labels, path=path)
        manifest.settings.images.validate()
    except UsageError as error:
        raise CorruptDataError(error.what, path=path, got=error.got) from error
    _check_adoption(manifest, path)
    names = [shard.name for split in manifest.splits.values() for shard in split.shards]
    if len(set(names)) < len(names):
        raise CorruptDataError("the manifest names a shard twice", path=path)
    for split, facts in manifest.splits.items():
        _check_split(split, facts, manifest, path)
    stored = sum(generation.counts.stored for generation in manifest.generations)
    _equal("records of all splits", sum(f.records for f in manifest.splits.values()), stored, path)
    for generation in manifest.generations:
        counts = generation.counts
        parts = counts.stored + counts.rejected + counts.skipped + counts.excluded
        _equal("files found", counts.found, parts, path)


def _check_adoption(manifest: Manifest, path: str) -> None:
    adopted = manifest.adopted
    _equal(
        "format version",
        manifest.format_version,
        FORMAT_VERSION if adopted is None else ADOPTED_VERSION,
        path,
    )
    if adopted is not None and adopted.features.label is None and adopted.features.text is None:
        raise CorruptDataError(
            "the manifest names no feature that tells a record's class", path=path
        )


def _check_split(split: SplitName, facts: SplitInfo, manifest: Manifest, path: str) -> None:
    if manifest.adopted is None:
        for shard in facts.shards:
            parts = layout.parse_shard_name(shard.name)
            if parts is None or parts.split != split or shard.excluded_records:
                raise CorruptDataError(
                    "a shard's name does not fit its split", path=path, got=shard.name
                )
    classes = len(manifest.labels)
    _equal(f"classes of {split}", len(facts.class_records), classes, path)
    _equal(f"records of {split}", facts.records, sum(s.records for s in facts.shards), path)
    _equal(f"records of {split} by class", sum(facts.class_records), facts.records, path)
    _equal(f"bytes of {split}", facts.bytes, sum(s.bytes for s in facts.shards), path)


def _equal(what: str, got: int, expected: int, path: str) -> None:
    if got != expected:
        raise CorruptDataError(
            f"the manifest contradicts itself in the {what}", path=path, expected=expected, got=got
        )
