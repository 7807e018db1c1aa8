"""What there is to convert: every image with its class, and what becomes of every other file."""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import msgspec

from pipelines.classes import (
    Layout,
    choose_labels,
    class_folders,
    class_name,
    detect_layout,
    labels_by_name,
    number_classes,
    number_names,
    place_of,
)
from pipelines.lists import ListedImage, read_list, read_text_file
from pipelines.options import ConvertOptions
from pipelines.source_files import HEAD_BYTES, SourceFiles, UnreadableError, open_source
from pipelines.walk import Found, FoundFile
from records.errors import UsageError
from records.image_formats import IMAGE_EXTENSIONS, sniff
from records.index import Reject
from records.labels import LabelMap, parse_labels
from records.layout import Split
from records.text import key_from_text, key_to_text, printable


class SourceImage(msgspec.Struct, frozen=True, gc=False):
    """An image to convert.

    `split` is what the source says, if it does; `group` what must stay together, if anything;
    `url` where the file is if not below the source.
    """

    key: bytes
    label: int
    size_bytes: int
    stamp: int | str = 0
    split: Split | None = None
    group: bytes | None = None
    url: str | None = None


@dataclass
class Sources:
    """Everything found; found = images + rejects + skipped + excluded."""

    labels: LabelMap
    layout: Layout | None
    images: list[SourceImage] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    skipped: int = 0
    excluded: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def found(self) -> int:
        """How many files there are in all."""
        return len(self.images) + len(self.rejects) + self.skipped + self.excluded


def find_sources(options: ConvertOptions) -> Sources:
    """List the source and give every image its class.

    Raises:
        UsageError: links lead out of the source, classes collide, a list is wrong.
        NoInputError: there is no source, or no list.
    """
    excluded = _read_excluded(options.exclude)
    given = _read_labels(options.labels)
    if options.list is not None:
        return _from_list(options, excluded, given)
    return _from_folders(options, excluded, given)


def _read_excluded(path: str | None) -> frozenset[bytes]:
    if path is None:
        return frozenset()
    lines = read_text_file(path).decode("utf-8", "surrogateescape").split("\n")
    return frozenset(key_from_text(line.rstrip("\r")) for line in lines if line.strip())


def _read_labels(path: str | None) -> LabelMap | None:
    return None if path is None else parse_labels(read_text_file(path), path=path)


def _from_folders(
    options: ConvertOptions, excluded: frozenset[bytes], given: LabelMap | None
) -> Sources:
    files = open_source(options.source)
    found = files.walk(follow_symlinks=options.follow_symlinks)
    _refuse_outside_links(found, excluded, options.source)
    layout = detect_layout(found.folders) if options.layout == "auto" else options.layout
    names = number_classes(class_folders(found.folders, layout), source=options.source)
    shown = printable(options.source)
    labels = _choose(names.values(), options, given, shown)
    numbers = labels_by_name(labels)
    sources = Sources(labels, layout, skipped=found.skipped)
    for key in found.broken_links:
        _reject(sources, key, names, layout, "the link leads nowhere")
    group_of = _Grouping(options.group_by)
    for file in found.files:
        if file.key in excluded:
            sources.excluded += 1
        elif _is_image(file, files, sources):
            _place(file, sources, names, numbers, layout, group_of)
    _note(sources, found, names)
    return sources


def _choose(
    names: Iterable[str], options: ConvertOptions, given: LabelMap | None, shown: str
) -> LabelMap:
    return choose_labels(names, classes=options.classes, given=given, source=shown)


def _refuse_outside_links(found: Found, excluded: frozenset[bytes], source: str) -> None:
    links = sorted(key for key in found.outside_links if key not in excluded)
    if links:
        raise UsageError(
            f"{len(links)} symbolic links lead out of the source, the first: "
            f"{key_to_text(links[0])}",
            path=printable(source),
            hint="pass --follow-symlinks to convert what they lead to",
        )


def _is_image(file: FoundFile, files: SourceFiles, sources: Sources) -> bool:
    """Whether a file is one to convert: by its extension, or else by its first bytes."""
    extension = posixpath.splitext(file.key)[1].decode("ascii", "replace").lower()
    if extension in IMAGE_EXTENSIONS:
        return True
    try:
        image = sniff(files.read_head(file.key)[:HEAD_BYTES]) is not None
    except UnreadableError:
        image = False
    sources.skipped += not image
    return image


def _place(
    file: FoundFile,
    sources: Sources,
    names: dict[bytes, str],
    numbers: dict[str, int],
    layout: Layout,
    group_of: _Grouping,
) -> None:
    folder, split = place_of(file.key, layout)
    if folder is None:
        reject = Reject(
            key_to_text(file.key), None, "no-class", "not in a class folder", file.size_bytes
        )
        sources.rejects.append(reject)
    elif names[folder] not in numbers:
        sources.excluded += 1
    else:
        label, group = numbers[names[folder]], group_of(file.key)
        sources.images.append(
            SourceImage(file.key, label, file.size_bytes, file.stamp, split, group)
        )


def _reject(
    sources: Sources, key: bytes, names: dict[bytes, str], layout: Layout, detail: str
) -> None:
    folder = place_of(key, layout).class_folder
    name = names.get(folder) or class_name(folder) if folder else None
    sources.rejects.append(Reject(key_to_text(key), name, "unreadable", detail, 0))


class _Grouping:
    """What `--group-by` makes of a key: its folder, or what a regular expression finds in it."""

    def __init__(self, group_by: str | None) -> None:
        self._parent = group_by == "parent"
        self._pattern = None if group_by in {None, "parent"} else re.compile(str(group_by))

    def __call__(self, key: bytes) -> bytes | None:
        if self._parent:
            return posixpath.dirname(key)
        match = self._pattern.search(key_to_text(key)) if self._pattern else None
        if match is None:
            return None
        return (match[1] if match.re.groups and match[1] is not None else match[0]).encode()


def _note(sources: Sources, found: Found, names: dict[bytes, str]) -> None:
    """Say what people should know: classes without images, folders deeper than classes."""
    images = Counter(image.label for image in sources.images)
    for label, name in enumerate(sources.labels):
        if not images[label]:
            sources.notes.append(f"class {printable(name)} has no images")
    depth = 1 if sources.layout == "classes" else 2
    deeper = sum(1 for image in sources.images if image.key.count(b"/") > depth)
    if deeper:
        sources.notes.append(
            f"{deeper} images in folders below a class folder count as that class"
        )
    if len(names) == 1 and sources.images and deeper == len(sources.images):
        sources.notes.append(
            f"there is one class only, {printable(sources.labels[0])}: if the classes are its "
            "folders, convert that folder instead"
        )


def _from_list(
    options: ConvertOptions, excluded: frozenset[bytes], given: LabelMap | None
) -> Sources:
    path = str(options.list)
    rows = list(read_list(path, options.source, allow_url=options.allow_url))
    if any(row.group for row in rows):
        _refuse_groups(options)
    names = number_names((row.label for row in rows if row.label), source=path)
    labels = _choose(names.values(), options, given, path)
    numbers = labels_by_name(labels)
    sources = Sources(labels, None)
    group_of = _Grouping(options.group_by)
    for row, file in _with_sizes(rows, options):
        if row.key in excluded:
            sources.excluded += 1
        elif not row.label:
            size_bytes = file.size_bytes if file else 0
            sources.rejects.append(
                Reject(key_to_text(row.key), None, "no-class", "no label in the list", size_bytes)
            )
        elif names[row.label] not in numbers:
            sources.excluded += 1
        elif file is None:
            sources.rejects.append(
                Reject(key_to_text(row.key), names[row.label], "unreadable", "no such file", 0)
            )
        else:
            label = numbers[names[row.label]]
            group = row.group.encode() if row.group else group_of(row.key)
            sources.images.append(
                SourceImage(
                    row.key, label, file.size_bytes, file.stamp, row.split, group, row.url
                )
            )
    return sources


def _refuse_groups(options: ConvertOptions) -> None:
    counts = isinstance(options.test, int) or isinstance(options.validation, int)
    if counts or options.stratify:
        raise UsageError(
            "a list with groups cannot go with exact counts or --stratify: groups stay whole",
            path=str(options.list),
            hint="use fractions: --test 0.2",
        )


def _with_sizes(
    rows: list[ListedImage], options: ConvertOptions
) -> Iterator[tuple[ListedImage, FoundFile | None]]:
    """Each row with its file, or None where there is none."""
    files = open_source(options.source)
    for row in rows:
        if row.url is None:
            yield row, files.find(row.key, follow_symlinks=options.follow_symlinks)
        else:
            folder, _, name = row.url.rpartition("/")
            yield row, open_source(folder).find(name.encode(), follow_symlinks=True)


