"""Sources from folders: the class is a folder's name, and so may the split be."""

from __future__ import annotations

from pipelines.options import ConvertOptions
from pipelines.sources.base import GroupKey, SourceFilter, SourceImage, Sources
from pipelines.sources.class_layout import (
    Layout,
    assign_labels,
    class_folders,
    detect_layout,
    label_ids,
    parse_key,
)
from pipelines.sources.reader import SourceFiles, UnreadableError, open_source
from pipelines.sources.walk import ListedFile, Listing
from records.errors import InputNotFoundError, UsageError
from records.format.index import Reject
from records.images import IMAGE_EXTENSIONS, sniff
from records.text.escaping import escape_for_display
from records.text.formatting import pluralize
from records.text.keys import key_to_text

_IMAGE_EXTENSIONS = frozenset(extension.encode() for extension in IMAGE_EXTENSIONS)


def find_in_folders(options: ConvertOptions, choice: SourceFilter) -> Sources:
    """Walk the source. Raises as `list_sources`."""
    files = open_source(options.source)
    found = files.walk(follow_symlinks=options.follow_symlinks)
    if not (found.files or found.folders or found.broken_links or found.escaping_links):
        raise InputNotFoundError(
            "there is nothing here",
            path=escape_for_display(options.source),
            expected="a folder a class, with its images in it",
            got=f"only {pluralize(found.skipped, 'hidden or system file')}"
            if found.skipped
            else None,
        )
    _refuse_outside_links(found, choice, options.source)
    layout = detect_layout(found.folders) if options.layout == "auto" else options.layout
    return _FolderSources(options, choice, files, found, layout).gather()


def _refuse_outside_links(found: Listing, choice: SourceFilter, source: str) -> None:
    links = sorted(key for key in found.escaping_links if key not in choice.excluded)
    if links:
        raise UsageError(
            f"{pluralize(len(links), 'symbolic link')} out of the source, the first: "
            f"{key_to_text(links[0])}",
            path=escape_for_display(source),
            hint="pass --follow-symlinks to convert what they lead to",
        )


class _FolderSources:
    """Gives every file that a walk found its place."""

    def __init__(
        self,
        options: ConvertOptions,
        choice: SourceFilter,
        files: SourceFiles,
        found: Listing,
        layout: Layout,
    ) -> None:
        self._excluded = choice.excluded
        self._files = files
        self._found = found
        self._layout = layout
        folders = class_folders(found.folders, layout)
        self._names = assign_labels(folders, source=options.source)
        labels = choice.labels(self._names.values(), source=options.source)
        self._numbers = label_ids(labels)
        self._group_of = GroupKey(options.group_by)
        self._sources = Sources(labels, layout, skipped=found.skipped)
        self._class_depth = 1 if layout == "classes" else 2
        self._deeper = 0

    def gather(self) -> Sources:
        # Links out of the source that are not excluded were refused.
        for _ in self._found.escaping_links:
            self._sources.exclude(by_key=True)
        for key in self._found.broken_links:
            self._add(key, None)
        for file in self._found.files.consume():
            if file.key in self._excluded or self._is_image(file):
                self._add(file.key, file)
            else:
                self._sources.skipped += 1
        self._note_depth()
        return self._sources

    def _is_image(self, file: ListedFile) -> bool:
        """Whether a file is one to convert: by its extension, or else by its first bytes."""
        if file.key[file.key.rfind(b".") :].lower() in _IMAGE_EXTENSIONS:
            return True
        try:
            return sniff(self._files.read_head(file.key)) is not None
        except UnreadableError:
            return False

    def _add(self, key: bytes, file: ListedFile | None) -> None:
        """Give an image its place; `file` is None for a link that leads nowhere."""
        folder, split = parse_key(key, self._layout)
        name = None if folder is None else self._names[folder]
        if key in self._excluded:
            self._sources.exclude(by_key=True)
        elif name is not None and name not in self._numbers:
            self._sources.exclude(by_key=False)
        elif file is None:
            self._reject(key, name, "unreadable", "the link leads nowhere", 0)
        elif name is None:
            self._reject(key, name, "no-class", "not in a class folder", file.size_bytes)
        else:
            group = self._group_of(key)
            label = self._numbers[name]
            self._deeper += key.count(b"/") > self._class_depth
            self._sources.add(SourceImage(key, label, file.size_bytes, file.stamp, split, group))

    def _reject(
        self, key: bytes, name: str | None, reason: str, detail: str, size_bytes: int
    ) -> None:
        self._sources.rejects.append(Reject(key_to_text(key), name, reason, detail, size_bytes))

    def _note_depth(self) -> None:
        """Say where images lie deeper than their class's folder, for people may mean otherwise."""
        images, deeper = len(self._sources.images), self._deeper
        if deeper:
            self._sources.notes.append(
                f"{deeper} images lie in folders below a class folder and count as that class"
            )
        if len(self._names) == 1 and deeper and deeper == images:
            self._sources.notes.append(
                f"there is one class only, {escape_for_display(self._sources.labels[0])}: if its folders "
                "are the classes, convert it instead"
            )
