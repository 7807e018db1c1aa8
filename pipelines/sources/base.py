"""What there is to convert: every image with its class, and what becomes of every other file."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec
import pyarrow as pa

from pipelines.options import ConvertOptions
from pipelines.sources.class_layout import Layout, choose_labels, extend_labels
from pipelines.sources.reader import read_text_file
from records.format.index import Reject
from records.format.label_map import LabelMap, parse_labels
from records.format.layout import SplitName
from records.runtime.row_table import RowTable
from records.text.escaping import escape_for_display
from records.text.keys import key_from_text, key_to_text


class SourceImage(msgspec.Struct, frozen=True, gc=False):
    """An image to convert.

    `split` is what the source says, if it does; `group` what must stay together, if anything;
    `url` where the file is if not below the source; `stamp` as `FoundFile` has it.
    """

    key: bytes
    label: int
    size_bytes: int
    stamp: int = 0
    split: SplitName | None = None
    group: bytes | None = None
    url: str | None = None


_COLUMNS = pa.schema(
    {
        "key": pa.large_binary(),
        "label": pa.int32(),
        "size_bytes": pa.int64(),
        "stamp": pa.uint64(),
        "split": pa.string(),
        "group": pa.large_binary(),
        "url": pa.large_string(),
    }
)


def new_image_table(images: Iterable[SourceImage] = ()) -> RowTable[SourceImage]:
    """Images to convert as `Sources` keeps them."""
    return RowTable(SourceImage, _COLUMNS, images)


@dataclass
class Sources:
    """Everything found; found = images + rejects + skipped + excluded.

    `excluded_keys` of those excluded are so by their key, the others by their class.
    """

    labels: LabelMap
    layout: Layout | None
    images: RowTable[SourceImage] = field(default_factory=new_image_table)
    rejects: list[Reject] = field(default_factory=list)
    skipped: int = 0
    excluded: int = 0
    excluded_keys: int = 0
    labels_present: set[int] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)

    @property
    def found(self) -> int:
        """How many files there are in all."""
        return len(self.images) + len(self.rejects) + self.skipped + self.excluded

    def add(self, image: SourceImage) -> None:
        """Take an image in."""
        self.images.append(image)
        self.labels_present.add(image.label)

    def exclude(self, *, by_key: bool) -> None:
        """Count a file as excluded."""
        self.excluded += 1
        self.excluded_keys += by_key


class SourceFilter(NamedTuple):
    """What the user takes of the source: the files excluded, and what the label map may be."""

    excluded: frozenset[bytes]
    classes: tuple[str, ...] | None
    given_labels: LabelMap | None
    kept_labels: LabelMap | None
    takes_new_classes: bool

    def labels(self, present: Iterable[str], *, source: str) -> LabelMap:
        """The label map over the classes present. Raises UsageError."""
        labels = choose_labels(
            present,
            classes=self.classes,
            given=self.given_labels,
            source=escape_for_display(source),
        )
        if self.kept_labels is None:
            return labels
        return extend_labels(self.kept_labels, labels, takes_new=self.takes_new_classes)


def read_source_filter(options: ConvertOptions, kept_labels: LabelMap | None) -> SourceFilter:
    """Read the files that `--exclude` and `--labels` name. Raises InputNotFoundError, UsageError."""
    given = None
    if options.labels is not None:
        given = parse_labels(read_text_file(options.labels), path=options.labels)
    excluded: Iterable[bytes] = ()
    if options.exclude is not None:
        lines = read_text_file(options.exclude).decode("utf-8-sig", "surrogateescape").split("\n")
        excluded = (key_from_text(line.rstrip("\r")) for line in lines if line.strip())
    return SourceFilter(
        frozenset(excluded), options.classes, given, kept_labels, options.allow_new_classes
    )


class GroupKey:
    """What `--group-by` makes of a key: its folder, or what a regular expression finds in it."""

    def __init__(self, group_by: str | None) -> None:
        self._parent = group_by == "parent"
        self._pattern = None if group_by in {None, "parent"} else re.compile(str(group_by))

    def __call__(self, key: bytes) -> bytes | None:
        """The group of a key, None where it stands for itself."""
        if self._parent:
            return posixpath.dirname(key)
        match = self._pattern.search(key_to_text(key)) if self._pattern else None
        if match is None:
            return None
        found = match[1] if match.re.groups and match[1] is not None else match[0]
        return found.encode() or None
