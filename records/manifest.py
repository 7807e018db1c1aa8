"""The manifest, `dataset.json`: written last, so it is there exactly when the dataset is whole.

Frozen, versioned and canonical: the same dataset is the same bytes. Nothing in it tells of the
machine or the hour. Whatever is read is checked strictly, for a manifest may come from anybody.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from records import layout
from records.errors import DamagedError, NoInputError, UsageError
from records.images import ImageOptions
from records.labels import check_labels
from records.layout import Split
from records.storage import Storage
from records.versioned_json import decode_versioned, encode_canonical

FORMAT_VERSION = 1

Count = Annotated[int, msgspec.Meta(ge=0)]
Digest = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$")]
HashBound = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{16}$")]
Amount = int | float
"""How much goes into a split: a fraction where it is a float, a count where it is an int."""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The options of a conversion that its bytes depend on."""

    images: ImageOptions = ImageOptions()
    seed: int = 0
    test: Amount | None = None
    validation: Amount | None = None
    stratify: bool = False
    group_by: str | None = None
    shards: int | None = None
    shard_mb: int = 128


class CutOff(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
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


class Shard(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A shard as it must lie there."""

    name: Annotated[str, msgspec.Meta(pattern=f"^{layout.SHARD_PATTERN}$")]
    records: Count
    bytes: Count
    xxh3_128: Digest


class SplitFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A split: how many records each class has in it (by label), and its shards in order."""

    records: Count
    bytes: Count
    class_records: tuple[Count, ...]
    shards: tuple[Shard, ...]


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of `dataset.json`."""

    format_version: int
    labels: tuple[str, ...]
    settings: Settings
    splits: dict[Split, SplitFacts]
    cut_offs: tuple[CutOff, ...]
    generations: tuple[Generation, ...]


def encode_manifest(manifest: Manifest) -> bytes:
    """The canonical bytes of a manifest."""
    return encode_canonical(manifest)


def read_manifest(storage: Storage) -> Manifest:
    """The manifest of a finished dataset, checked.

    Raises:
        NoInputError: there is none: nothing was converted here, or not to its end.
        DamagedError: it is not one, or contradicts itself, or is of a later version.
    """
    try:
        content = storage.read(layout.MANIFEST)
    except FileNotFoundError:
        unfinished = any(name.startswith(f"{layout.WORK_FOLDER}/") for name in storage.list())
        raise NoInputError(
            "there is no finished dataset here" + (": a conversion has not ended" * unfinished),
            path=storage.url,
            expected=f"a file {layout.MANIFEST}",
            hint="run the same `shardmill convert` again: it goes on where it stopped"
            if unfinished
            else "make one with `shardmill convert SOURCE TARGET`",
        ) from None
    return decode_manifest(content, path=storage.describe(layout.MANIFEST))


def decode_manifest(content: bytes, *, path: str) -> Manifest:
    """A manifest from its bytes. Raises DamagedError, with `path` in it."""
    manifest = decode_versioned(
        content, Manifest, version=FORMAT_VERSION, what="a manifest", path=path
    )
    _check(manifest, path)
    return manifest


def _check(manifest: Manifest, path: str) -> None:
    try:
        check_labels(manifest.labels, path=path)
        manifest.settings.images.validate()
    except UsageError as error:
        raise DamagedError(error.what, path=path, got=error.got) from error
    names = [shard.name for split in manifest.splits.values() for shard in split.shards]
    if len(set(names)) < len(names):
        raise DamagedError("the manifest names a shard twice", path=path)
    for split, facts in manifest.splits.items():
        _check_split(split, facts, len(manifest.labels), path)
    stored = sum(generation.counts.stored for generation in manifest.generations)
    _equal("records of all splits", sum(f.records for f in manifest.splits.values()), stored, path)
    for generation in manifest.generations:
        counts = generation.counts
        parts = counts.stored + counts.rejected + counts.skipped + counts.excluded
        _equal("files found", counts.found, parts, path)


def _check_split(split: Split, facts: SplitFacts, classes: int, path: str) -> None:
    for shard in facts.shards:
        parts = layout.parse_shard_name(shard.name)
        if parts is None or parts.split != split:
            raise DamagedError("a shard's name does not fit its split", path=path, got=shard.name)
    _equal(f"classes of {split}", len(facts.class_records), classes, path)
    _equal(f"records of {split}", facts.records, sum(s.records for s in facts.shards), path)
    _equal(f"records of {split} by class", sum(facts.class_records), facts.records, path)
    _equal(f"bytes of {split}", facts.bytes, sum(s.bytes for s in facts.shards), path)


def _equal(what: str, got: int, expected: int, path: str) -> None:
    if got != expected:
        raise DamagedError(
            f"the manifest contradicts itself in the {what}", path=path, expected=expected, got=got
        )
