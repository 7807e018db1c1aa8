"""Plan of an adoption: manifest, indexes and excluded records."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import xxhash

from records.adopt.scan import OPTIONS, ScannedFile, ScannedRecord
from records.format.digest import FORMAT_VERSION, digest_of
from records.format.index import (
    IndexFile,
    IndexRow,
    Reject,
    ShardSummary,
    encode_index,
    new_row_table,
)
from records.format.label_map import label_ids
from records.format.layout import SPLITS, SplitName
from records.format.manifest import (
    Counts,
    ExternalFormat,
    Generation,
    Manifest,
    Settings,
    ShardInfo,
    SplitInfo,
)
from records.images import Rejection
from records.text.keys import key_to_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from records.adopt.infer_classes import Classes, ClassReference
    from records.format.schema import FeatureNames


class AdoptedShard(NamedTuple):
    """An adopted file: the summary and the bytes of its index."""

    summary: ShardSummary
    encoded_index: bytes

    @property
    def info(self) -> ShardInfo:
        """The file as a manifest lists it."""
        info = IndexFile(self.summary, digest_of(self.encoded_index)).info
        return msgspec.structs.replace(info, excluded_records=len(self.summary.rejects))


class AdoptionPlan(NamedTuple):
    """The content of the files that `adopt` writes next to the TFRecord files.

    `files` has the contents of all files other than indexes and the manifest, by name.
    """

    manifest: Manifest
    shards: tuple[AdoptedShard, ...]
    rejects: tuple[Reject, ...]
    files: Mapping[str, bytes]


def plan_adoption(
    files: Sequence[ScannedFile],
    splits: Mapping[str, SplitName],
    names: FeatureNames,
    classes: Classes,
) -> AdoptionPlan:
    """Return the plan for a dataset of these files.

    Args:
        files: the scanned files, in the order of the dataset.
        splits: the split of each file, by its name.
        names: the names of the features.
        classes: the label map, and the number of the first class.
    """
    if not _have_keys(files):
        names = msgspec.structs.replace(names, key=None)
    adopted = ExternalFormat(names, classes.first_label, ())
    digest = _digest(files, splits, adopted, classes)
    shards = [_plan_shard(file, splits[file.name], adopted, classes, digest) for file in files]
    rejects = tuple(reject for shard in shards for reject in shard.summary.rejects)
    stored = sum(shard.summary.records for shard in shards)
    counts = Counts(
        found=stored + len(rejects), stored=stored, rejected=len(rejects), skipped=0, excluded=0
    )
    manifest = Manifest(
        labels=classes.labels,
        settings=Settings(images=OPTIONS),
        splits={
            split: _plan_split(members, len(classes.labels))
            for split in SPLITS
            if (members := [shard for shard in shards if shard.summary.split == split])
        },
        thresholds=(),
        files={},
        generations=(Generation(1, digest, {}, counts),),
        adopted=adopted,
    )
    return AdoptionPlan(manifest, tuple(shards), rejects, {})


def _have_keys(files: Sequence[ScannedFile]) -> bool:
    """Return whether every record has a key, and no key occurs twice."""
    keys = [record.key for file in files for record in file.records]
    return None not in keys and len(set(keys)) == len(keys)


def _plan_shard(
    file: ScannedFile, split: SplitName, adopted: ExternalFormat, classes: Classes, digest: str
) -> AdoptedShard:
    rows: list[IndexRow] = []
    rejects: list[Reject] = []
    numbers = label_ids(classes.labels)
    for number, record in enumerate(file.records):
        key = f"{file.name}/{number:06d}"
        if adopted.features.key is not None and record.key is not None:
            key = key_to_text(record.key)
        planned = _plan_record(record, key, adopted, classes, numbers)
        if isinstance(planned, Reject):
            rejects.append(planned)
        else:
            rows.append(planned)
    summary = ShardSummary(
        name=file.name,
        split=split,
        plan_digest=digest,
        records=len(rows),
        bytes=file.size_bytes,
        xxh3_128=file.xxh3_128,
        sha256=file.sha256,
        class_records=dict(sorted(Counter(row.label for row in rows).items())),
        rejects=tuple(rejects),
    )
    return AdoptedShard(summary, encode_index(summary, new_row_table(rows)))


def _plan_record(
    record: ScannedRecord,
    key: str,
    adopted: ExternalFormat,
    classes: Classes,
    numbers: Mapping[str, int],
) -> IndexRow | Reject:
    label = _label(record.reference, adopted, numbers)
    name = classes.labels[label] if label is not None else None
    if isinstance(record.image, Rejection):
        return Reject(key, name, record.image.reason, record.image.detail, record.length)
    if label is None:
        return Reject(
            key, None, "no-class", _missing_class(record.reference, adopted), record.length
        )
    image = record.image
    return IndexRow(
        key=key,
        label=label,
        offset=record.offset,
        length=record.length,
        image_offset=image.offset,
        stored_bytes=image.stored_bytes,
        format=image.format,
        width=image.width,
        height=image.height,
        channels=image.channels,
        source_bytes=image.stored_bytes,
        source_xxh3_128=image.xxh3_128,
        changes=(),
    )


def _label(
    reference: ClassReference, adopted: ExternalFormat, numbers: Mapping[str, int]
) -> int | None:
    if adopted.features.label is None:
        return numbers.get(reference.text)
    if reference.label is None or reference.label < adopted.first_label:
        return None
    return reference.label - adopted.first_label


def _missing_class(reference: ClassReference, adopted: ExternalFormat) -> str:
    if adopted.features.label is None:
        return (
            f"the class {reference.text!r} is not in the label map"
            if reference.text
            else "the record has no class"
        )
    if reference.label is None:
        return "the record has no label"
    return f"the label of the record is {reference.label}"


def _plan_split(shards: Sequence[AdoptedShard], classes: int) -> SplitInfo:
    summaries = [shard.summary for shard in shards]
    class_records: Counter[int] = Counter()
    for shard in summaries:
        class_records.update(shard.class_records)
    return SplitInfo(
        records=sum(shard.records for shard in summaries),
        bytes=sum(shard.bytes for shard in summaries),
        class_records=tuple(class_records[label] for label in range(classes)),
        shards=tuple(shard.info for shard in shards),
    )


def _digest(
    files: Sequence[ScannedFile],
    splits: Mapping[str, SplitName],
    adopted: ExternalFormat,
    classes: Classes,
) -> str:
    """Return the hash of the inputs that determine the dataset."""
    content = [(file.name, splits[file.name], file.xxh3_128) for file in files]
    encoded = msgspec.json.encode((FORMAT_VERSION, adopted, classes.labels, content))
    return xxhash.xxh3_128_hexdigest(encoded)
