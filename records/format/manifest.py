"""The manifest, `dataset.json`.

The manifest is written last, so it exists only if the dataset is complete. It has a format version
and is canonical: equal datasets have equal manifests, independent of the machine and the time. A
reader refuses a manifest that does not have the digest in it, and validates it strictly.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from itertools import pairwise
from typing import Annotated, Literal

import msgspec

from records.errors import CorruptDataError, InputNotFoundError, UsageError
from records.format import layout
from records.format.columns import Columns, check_columns
from records.format.digest import FORMAT_VERSION, FileDigest, FormatVersion, Sha256, digest_of
from records.format.image_options import ImageOptions
from records.format.label_map import check_labels
from records.format.layout import SplitName
from records.format.metadata.description import Description
from records.format.schema import FeatureNames
from records.storage import Storage
from records.storage.work_folder import describe_command, unfinished_command
from records.strict_json import decode_versioned, encode_canonical

Count = Annotated[int, msgspec.Meta(ge=0)]
Digest = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$")]
HashBound = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{16}$")]
Task = Literal["classification", "multi-label"]
SplitSize = int | float
"""Size of a split: a fraction (float) or a number of images (int)."""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The options of a conversion that determine the bytes of the dataset.

    `columns` are the columns of the list that are kept, with the types of their values. With the
    task `multi-label`, an image has any number of labels, also none.
    """

    images: ImageOptions = ImageOptions()
    seed: int = 0
    test: SplitSize | None = None
    validation: SplitSize | None = None
    stratify: bool = False
    group_by: str | None = None
    shards: int | None = None
    shard_mb: int = 128
    columns: Columns = ()
    task: Task = "classification"

    @property
    def is_multi_label(self) -> bool:
        """Whether an image has any number of labels."""
        return self.task == "multi-label"

    @property
    def is_iterative(self) -> bool:
        """Whether splits are stratified iteratively: an image has any number of labels."""
        return self.stratify and self.is_multi_label


class SplitThreshold(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Thresholds of the hash that assigns images to splits, as 16 hexadecimal digits.

    Images with a hash below `test` are in the test split, other images with a hash below
    `validation` in the validation split, and all other images in the train split. `label` is None
    if all classes share the thresholds. If splits are stratified iteratively, no hash is compared:
    the thresholds have the shares of the splits.
    """

    label: Count | None
    test: HashBound
    validation: HashBound


class Counts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Numbers of files by outcome; `found` is the sum of the other four."""

    found: Count
    stored: Count
    rejected: Count
    skipped: Count
    excluded: Count


class Generation(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A generation: its number from 1, plan digest, versions of image encoders, and counts.

    `removed`, `relabelled` and `renamed` count the records of earlier generations that it edited;
    `renamed_classes` has the new names of the classes of the last ones, by their previous names.
    """

    number: Annotated[int, msgspec.Meta(ge=1)]
    plan_digest: Digest
    encoders: dict[str, str]
    counts: Counts
    removed: Count = 0
    relabelled: Count = 0
    renamed: Count = 0
    renamed_classes: dict[str, str] = {}


class ShardInfo(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A shard: its name, its size, its hashes, and the digest of its index.

    `excluded_records` counts records of an adopted file that are not part of the dataset;
    `records` does not count them.
    """

    name: Annotated[str, msgspec.Meta(pattern=rf"^{layout.ADOPTED_PATTERN}\Z", max_length=1024)]
    records: Count
    bytes: Count
    xxh3_128: Digest
    sha256: Sha256
    index: FileDigest
    excluded_records: Count = 0


class SplitInfo(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A split: its number of records per class (by label), and its shards in order."""

    records: Count
    bytes: Count
    class_records: tuple[Count, ...]
    shards: tuple[ShardInfo, ...]


class ExternalFormat(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Format of the records of adopted files.

    Attributes:
        features: the names of the features to read.
        first_label: the number of the first class in the records; labels of a dataset begin at 0.
        preexisting: the names of files that existed before `adopt`, so that it did not write them.
    """

    features: FeatureNames
    first_label: Literal[0, 1]
    preexisting: tuple[
        Literal["labels.txt", "dataset_info.json", "features.json", "croissant.json"], ...
    ]


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of `dataset.json`, without its digest.

    `files` has the digest of each file of the dataset that is neither a shard nor an index.
    `description` is that of the user; without one, the field is absent.
    """

    labels: tuple[str, ...]
    settings: Settings
    splits: dict[SplitName, SplitInfo]
    thresholds: tuple[SplitThreshold, ...]
    generations: tuple[Generation, ...]
    files: dict[str, FileDigest]
    format_version: FormatVersion = FORMAT_VERSION
    adopted: ExternalFormat | None = None
    description: Description | msgspec.UnsetType = msgspec.UNSET

    def with_files(self, contents: Mapping[str, bytes]) -> Manifest:
        """Return this manifest with the digests of these files, by name."""
        digests = {name: digest_of(content) for name, content in contents.items()}
        return msgspec.structs.replace(self, files=self.files | digests)


class ManifestFile(Manifest, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The content of `dataset.json`.

    `files` has the digest of each file of the dataset that is neither a shard nor an index.
    `description` is that of the user; without one, the field is absent. `sha256` is the SHA-256 of
    the canonical JSON of all other fields: of the bytes of the file without the line of this field.
    """

    sha256: Sha256


def shard_names(manifest: Manifest) -> set[str]:
    """Return the names of all shards."""
    return {shard.name for split in manifest.splits.values() for shard in split.shards}


def file_names(manifest: Manifest) -> set[str]:
    """Return the names of all files that a generation may have, except the manifest.

    These include the saved manifest and the provenance of every earlier generation, but not its
    other files.
    """
    shards = shard_names(manifest)
    side_files = (
        layout.generation_path(name, generation.number)
        for name in layout.SIDE_FILES
        for generation in manifest.generations
    )
    earlier = range(1, manifest.generations[-1].number)
    saved = map(layout.saved_manifest_name, earlier)
    provenances = (layout.generation_path(layout.PROVENANCE, number) for number in earlier)
    return {*shards, *map(layout.index_name, shards), *side_files, *saved, *provenances}


def encode_manifest(manifest: Manifest) -> bytes:
    """Return the content of `dataset.json`: canonical, with its digest."""
    sha256 = digest_of(encode_canonical(manifest)).sha256
    return encode_canonical(ManifestFile(**msgspec.structs.asdict(manifest), sha256=sha256))


def read_manifest(storage: Storage) -> Manifest:
    """Read and validate the manifest of a finished dataset.

    Raises:
        InputNotFoundError: there is no manifest: no conversion into this folder has finished.
        CorruptDataError: the manifest is damaged, was changed after it was written, is
            inconsistent, or has another format version.
    """
    try:
        content = storage.read(layout.MANIFEST)
    except FileNotFoundError:
        raise _dataset_not_found(storage) from None
    return decode_manifest(content, path=storage.display_name(layout.MANIFEST))


def _dataset_not_found(storage: Storage) -> InputNotFoundError:
    what, hint = "", "make a dataset with `shardmill convert SOURCE OUTPUT`"
    if command := unfinished_command(storage):
        name, kind = describe_command(command)
        what = f": a run of `{name}` is unfinished"
        hint = f"run the same `{name}` {kind} again: it resumes"
    elif storage.list(layout.WORK_FOLDER):
        what, hint = ": a run is unfinished", "run the command of this run again: it resumes"
    return InputNotFoundError(
        f"there is no finished dataset here{what}",
        path=storage.url,
        expected=f"a file {layout.MANIFEST}",
        hint=hint,
    )


def decode_manifest(content: bytes, *, path: str) -> Manifest:
    """Decode and validate a manifest. Raises CorruptDataError, with `path`."""
    fields = msgspec.structs.asdict(
        decode_versioned(
            content, ManifestFile, version=FORMAT_VERSION, what="a manifest", path=path
        )
    )
    del fields["sha256"]
    manifest = Manifest(**fields)
    _require_unchanged(content, manifest, path)
    _validate(manifest, path)
    return manifest


def _require_unchanged(content: bytes, manifest: Manifest, path: str) -> None:
    """Check that a manifest has the bytes that its writer wrote. Its digest follows from them."""
    with suppress(OverflowError):  # an integer that no writer can write
        if content == encode_manifest(manifest):
            return
    restore = f"restore {layout.MANIFEST} from a copy"
    raise CorruptDataError(
        "the manifest was changed after it was written",
        path=path,
        hint=f"{restore}, or convert again into another folder: `shardmill convert SOURCE OUTPUT`"
        if manifest.adopted is None
        else f"{restore}, or remove it and run the same `shardmill adopt` command again",
    )


def _validate(manifest: Manifest, path: str) -> None:
    try:
        check_labels(manifest.labels, path=path)
        manifest.settings.images.validate()
        check_columns(manifest.settings.columns)
    except UsageError as error:
        raise CorruptDataError(error.what, path=path, got=error.got) from error
    _validate_external_format(manifest, path)
    _validate_thresholds(manifest, path)
    names = [shard.name for split in manifest.splits.values() for shard in split.shards]
    if len(set(names)) < len(names):
        raise CorruptDataError("the manifest lists a shard twice", path=path)
    for split, info in manifest.splits.items():
        _validate_split(split, info, manifest, path)
    numbers = [generation.number for generation in manifest.generations]
    if not numbers or any(one >= other for one, other in pairwise(numbers)):
        raise CorruptDataError("the manifest lists no generations, or not in order", path=path)
    records = sum(split.records for split in manifest.splits.values())
    stored = sum(each.counts.stored - each.removed for each in manifest.generations)
    _require_equal("number of records of all splits", records, stored, path)
    for generation in manifest.generations:
        counts = generation.counts
        parts = counts.stored + counts.rejected + counts.skipped + counts.excluded
        _require_equal("number of files found", counts.found, parts, path)


def _validate_external_format(manifest: Manifest, path: str) -> None:
    adopted = manifest.adopted
    if adopted is not None and adopted.features.label is None and adopted.features.text is None:
        raise CorruptDataError("the manifest names no feature for the class of a record", path=path)


def _validate_thresholds(manifest: Manifest, path: str) -> None:
    """Check that there are thresholds for the splits that were requested: shared or by class."""
    settings, labels = manifest.settings, [stored.label for stored in manifest.thresholds]
    is_requested = settings.test is not None or settings.validation is not None
    by_class = [label for label in labels if label is not None]
    if settings.stratify and not settings.is_multi_label:
        is_valid = by_class == labels and all(label < len(manifest.labels) for label in by_class)
    else:
        is_valid = not by_class
    if not is_valid or len(set(labels)) < len(labels) or (is_requested and not labels):
        raise CorruptDataError(
            "the manifest contradicts itself in the thresholds of the splits", path=path
        )


def _validate_split(split: SplitName, info: SplitInfo, manifest: Manifest, path: str) -> None:
    if manifest.adopted is None:
        for shard in info.shards:
            parts = layout.parse_shard_name(shard.name)
            if parts is None or parts.split != split or shard.excluded_records:
                raise CorruptDataError(
                    "a shard name does not match its split", path=path, got=shard.name
                )
    classes = len(manifest.labels)
    _require_equal(f"number of classes of {split}", len(info.class_records), classes, path)
    _require_equal(
        f"number of records of {split}", info.records, sum(s.records for s in info.shards), path
    )
    if not manifest.settings.is_multi_label:
        _require_equal(
            f"number of records of {split} by class", sum(info.class_records), info.records, path
        )
    elif max(info.class_records, default=0) > info.records:
        raise CorruptDataError(
            f"the manifest contradicts itself in the number of records of {split} by class",
            path=path,
        )
    _require_equal(
        f"number of bytes of {split}", info.bytes, sum(s.bytes for s in info.shards), path
    )


def _require_equal(what: str, got: int, expected: int, path: str) -> None:
    if got != expected:
        raise CorruptDataError(
            f"the manifest contradicts itself in the {what}", path=path, expected=expected, got=got
        )
