"""Labelled images of a source, and counts of all other files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec
import pyarrow as pa

from pipelines.options import ConvertOptions
from pipelines.sources.class_layout import choose_labels, extend_labels
from pipelines.sources.class_map import ClassMap, read_class_map
from pipelines.sources.containers.member import Container
from pipelines.sources.reader import read_text_file
from records.format.columns import Columns
from records.format.edits import RelabelledRecord, RemovedRecord
from records.format.index import Reject
from records.format.label_map import LabelMap, parse_labels
from records.format.layout import Layout, SplitName
from records.format.manifest import Manifest
from records.format.skipped import SkippedFiles
from records.images import Rejection
from records.images.large_file import require_max_size
from records.images.rejection import ImageRejectedError
from records.runtime.row_table import Column, RowTable
from records.text.escaping import escape_for_display
from records.text.keys import key_from_text
from records.user_text import decode_text


class SourceImage(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One image to convert.

    `Sources` stores images in Arrow columns. A worker receives the images of its shard with
    only the fields of `WORKER_FIELDS`; all other fields have their defaults.

    Attributes:
        key: path below the source, or URL in the image list; raw bytes.
        label: label number; -1 if `labels` are set.
        size_bytes: size of the file when it was listed.
        url: URL of a file that is not stored below the source.
        record_number: number, in its split, of the record to copy, if the source is a dataset.
        group: group of the image; all images of a group are assigned to the same split.
        linked: True if a part of the path was a symbolic link when it was listed, otherwise None.
        member: place of the image if it is a member of a container; see `Member`.
        columns: values of the columns of the dataset, packed by `pack_values`.
        labels: label numbers in ascending order, if an image may have any number of labels.
        split: the split that the source specifies.
        fingerprint: fingerprint of the file; see `ListedFile`.
    """

    key: bytes
    label: int
    size_bytes: int
    url: str | None = None
    record_number: int | None = None
    group: bytes | None = None
    linked: bool | None = None
    member: bytes | None = None
    columns: bytes | None = None
    labels: list[int] | None = None
    split: SplitName | None = None
    fingerprint: int = 0

    @property
    def all_labels(self) -> tuple[int, ...]:
        """The label numbers: exactly one, unless an image may have any number of labels."""
        return (self.label,) if self.labels is None else tuple(self.labels)


WORKER_FIELDS = (
    "key", "label", "size_bytes", "url", "record_number", "group", "linked", "member", "columns",
    "labels",
)  # fmt: skip
"""The first fields of `SourceImage`."""

_COLUMNS = pa.schema(
    {
        "key": pa.large_binary(),
        "label": pa.int32(),
        "size_bytes": pa.int64(),
        "url": pa.large_string(),
        "record_number": pa.int64(),
        "group": pa.large_binary(),
        "linked": pa.bool_(),
        "member": pa.large_binary(),
        "columns": pa.large_binary(),
        "labels": pa.list_(pa.int32()),
        "split": pa.string(),
        "fingerprint": pa.uint64(),
    }
)


def new_image_table(images: Iterable[SourceImage] = ()) -> RowTable[SourceImage]:
    """Return a table of images, as `Sources` stores them."""
    return RowTable(SourceImage, _COLUMNS, images)


@dataclass
class Sources:
    """All files of a source: found = images + rejects + skipped + excluded + known.

    Attributes:
        labels: the label map of the dataset.
        layout: layout of the folders; None for a list.
        images: images to convert.
        rejects: images that the listing rejects because they are unreadable or have no class.
        left_out: skipped files, which are not images, and excluded images.
        known: number of files that an append ignores: earlier runs have stored or rejected them.
        splits: splits that the source specifies for an image.
        notes: remarks for the report.
        understood: description in one line, of the columns and paths of a list, and of containers;
            None for folders.
        location: the folder or URL that contains the files, or the containers of the images.
        containers: the containers whose members the images are.
        columns: the columns of the list that the dataset keeps; None for a source without a list.
        removed: records that were removed on purpose, for the list of the generation.
        relabelled: records whose classes were corrected, for the list of the generation.
    """

    labels: LabelMap
    layout: Layout | None
    images: RowTable[SourceImage] = field(default_factory=new_image_table)
    rejects: list[Reject] = field(default_factory=list)
    left_out: SkippedFiles = field(default_factory=SkippedFiles)
    known: int = 0
    splits: set[SplitName] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)
    understood: str | None = None
    location: str = ""
    containers: tuple[Container, ...] = ()
    columns: Columns | None = None
    removed: list[RemovedRecord] = field(default_factory=list)
    relabelled: list[RelabelledRecord] = field(default_factory=list)

    @property
    def found(self) -> int:
        """Return the number of files found."""
        return len(self.images) + len(self.rejects) + len(self.left_out) + self.known

    @property
    def skipped(self) -> int:
        """Return the number of files that are not images."""
        return self.left_out.outcomes["skipped"]

    @property
    def excluded(self) -> int:
        """Return the number of images excluded, by key or by class."""
        return self.left_out.outcomes["excluded"]

    def add(self, image: SourceImage) -> None:
        """Add an image to convert."""
        self.images.append(image)
        if image.split is not None:
            self.splits.add(image.split)

    def add_columns(self, splits: list[SplitName | None], **columns: Column) -> None:
        """Add images to convert by columns, as `RowTable.append_columns` takes them."""
        self.images.append_columns(split=splits, **columns)
        self.splits.update(split for split in set(splits) if split is not None)


def check_file_size(size_bytes: int, options: ConvertOptions) -> Rejection | None:
    """Return the rejection of a file over `--max-file-mb`; None if it is small enough."""
    try:
        require_max_size(size_bytes, options.max_file_mb)
    except ImageRejectedError as error:
        return error.rejection
    return None


class MappedClasses(NamedTuple):
    """The classes of a source: their names after `--map`, the label map, and notes.

    Attributes:
        names: the new name of each class; None if `--map` drops it.
        labels: the label map.
        notes: remarks for the report.
    """

    names: Mapping[str, str | None]
    labels: LabelMap
    notes: list[str]


class SourceFilter(NamedTuple):
    """A selection of the images of a source, and the label map to use.

    Attributes:
        excluded_keys: keys of `--exclude`.
        classes: class names of `--classes`.
        given_labels: label map of `--labels`.
        existing_labels: label map of the dataset to append to.
        allow_new_classes: whether an append may add classes.
        class_map: new names of classes, of `--map`.
        existing_columns: columns of the dataset to append to.
    """

    excluded_keys: frozenset[bytes]
    classes: tuple[str, ...] | None
    given_labels: LabelMap | None
    existing_labels: LabelMap | None
    allow_new_classes: bool
    class_map: ClassMap
    existing_columns: Columns | None = None

    def map_classes(self, found: Iterable[str], *, source: str) -> MappedClasses:
        """Return the new names and the label map of the classes in the source.

        Raises:
            UsageError: no class is left, or a class is unknown to an option or to the dataset.
        """
        found = set(found)
        renamed = self.class_map.apply(found, source=source)
        present = {name for name in renamed.values() if name is not None}
        labels = choose_labels(
            sorted(present, key=str.encode),
            classes=self.classes,
            given=self.given_labels,
            source=escape_for_display(source),
            is_mapped=bool(found),
        )
        if self.existing_labels is not None:
            labels = extend_labels(self.existing_labels, labels, allow_new=self.allow_new_classes)
        return MappedClasses(renamed, labels, self.class_map.notes(found))


def read_source_filter(options: ConvertOptions, base: Manifest | None) -> SourceFilter:
    """Return the selection of the options, for an append to the dataset `base`.

    Raises:
        InputNotFoundError: a file that an option names does not exist.
        UsageError: the content of a file is invalid.
    """
    given = None
    if options.labels is not None:
        given = parse_labels(read_text_file(options.labels), path=options.labels)
    excluded: Iterable[bytes] = ()
    if options.exclude is not None:
        text = decode_text(read_text_file(options.exclude), path=options.exclude)
        lines = text.split("\n")
        excluded = (key_from_text(line.rstrip("\r")) for line in lines if line.strip())
    return SourceFilter(
        frozenset(excluded),
        options.classes,
        given,
        None if base is None else base.labels,
        options.allow_new_classes,
        read_class_map(options.map),
        None if base is None else base.settings.columns,
    )
