"""Images of class folders, with or without split folders above them."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.options import ConvertOptions
from pipelines.sources.base import SourceFilter, Sources, check_file_size
from pipelines.sources.class_layout import (
    CLASS_FOLDERS,
    assign_labels,
    check_not_split,
    class_folders,
    is_class_folder,
    parse_key,
)
from pipelines.sources.group_by import GroupKey
from pipelines.sources.lists import find_metadata, list_metadata
from pipelines.sources.lists.columns import option_of_lists
from pipelines.sources.reader import SourceFiles, UnreadableError
from pipelines.sources.walk import ListedFile, Listing
from records.errors import InputNotFoundError, UsageError
from records.format.index import Reject
from records.format.label_map import label_ids
from records.format.layout import Layout, SplitName, detect_layout
from records.images import IMAGE_EXTENSIONS, sniff
from records.runtime.row_table import Column, iter_rows
from records.text.escaping import escape_for_display
from records.text.formatting import pluralize
from records.text.keys import key_to_text
from records.text.names import class_name

_IMAGE_EXTENSIONS = frozenset(extension.encode() for extension in IMAGE_EXTENSIONS)

_MAX_NOTED_FOLDERS = 5
_MIN_CLASSES = 2
_NO_CLASS_NAME = "the name of the class folder is empty or has control characters"


def list_image_folder(
    options: ConvertOptions, source_filter: SourceFilter, files: SourceFiles, listing: Listing
) -> Sources:
    """List the images below a folder. Raises the errors of `list_sources`.

    Args:
        options: the options.
        source_filter: the selection of the images.
        files: the folder, or the containers that stand for one.
        listing: all files in it.
    """
    if not (
        listing.files
        or listing.folders
        or listing.broken_links
        or listing.escaping_links
        or listing.refused
    ):
        raise InputNotFoundError(
            "the source is empty",
            path=escape_for_display(options.source),
            expected=CLASS_FOLDERS,
            got=f"only {pluralize(len(listing.skipped), 'hidden or system file')}"
            if listing.skipped
            else None,
        )
    _refuse_escaping_links(listing, source_filter, options.source)
    layout = detect_layout(listing.folders) if options.layout == "auto" else options.layout
    if (listed := _list_metadata(options, source_filter, files, listing, layout)) is not None:
        return listed
    if options.layout == "auto" and layout == "classes":
        check_not_split(listing.folders, source=escape_for_display(options.source))
    ignored = find_metadata(listing) if options.layout == "auto" else []
    sources = _FolderSources(options, source_filter, files, listing, layout).collect()
    if ignored:
        sources.notes.append(_describe_ignored(ignored, options.source))
    return sources


def _describe_ignored(found: Sequence[ListedFile], source: str) -> str:
    """Return a note that lists next to the images are not read, and the option that reads one."""
    path = escape_for_display(posixpath.join(source, key_to_text(found[0].key)))
    return f"the folders name the classes; to use the labels in a list instead: --list {path}"


def _list_metadata(
    options: ConvertOptions,
    source_filter: SourceFilter,
    files: SourceFiles,
    listing: Listing,
    layout: Layout,
) -> Sources | None:
    """List the images of metadata files next to them, if folders do not name the classes.

    Raises:
        UsageError: an option names a column or an image folder, and there is no list.
        InputNotFoundError: a metadata file is empty, and the source has no classes.
    """
    named = option_of_lists(options)
    # The images of a metadata file are next to it, and `--image-folder` does not apply to it.
    is_list = options.layout == "auto" and not options.leaf_class and options.image_folder is None
    found = find_metadata(listing) if is_list else []
    classes = class_folders(listing.folders, layout)
    if found and (named or len(classes) < _MIN_CLASSES):
        with suppress(UsageError, InputNotFoundError) if classes and not named else nullcontext():
            if (
                listed := list_metadata(found, options, source_filter, files, listing.folders)
            ) is not None:
                return listed
    named = named or ("--image-folder" if options.image_folder is not None else None)
    if named:
        raise UsageError(
            "an option or the dataset needs a list, and there is no list",
            path=escape_for_display(options.source),
            got=named,
            hint="add --list FILE; or, for a container, name the column of labels with"
            " --label-column NAME, or of a number to predict with --target-column NAME",
        )
    return None


def _refuse_escaping_links(listing: Listing, source_filter: SourceFilter, source: str) -> None:
    links = sorted(key for key in listing.escaping_links if key not in source_filter.excluded_keys)
    if links:
        raise UsageError(
            f"the source contains {pluralize(len(links), 'symbolic link')} to the outside, "
            f"the first: {key_to_text(links[0])}",
            path=escape_for_display(source),
            hint="pass --follow-symlinks to convert the targets of the links",
        )


class _Folder(NamedTuple):
    """What a folder gives the images in it.

    Attributes:
        path: path below the source, with a slash at its end; empty for the source.
        class_folder: name of the class folder; None if the folder is in none.
        name: class name; None if there is none, or `--map` drops it.
        label: label number; None if there is none, or the class is dropped.
        split: the split that the path specifies.
        is_dropped: whether `--classes` or `--map` drops the class.
        is_nested: whether the folder is below its class folder, which names the class.
    """

    path: bytes
    class_folder: bytes | None
    name: str | None
    label: int | None
    split: SplitName | None
    is_dropped: bool
    is_nested: bool


class _FolderSources:
    """Sorts listed files into images, rejects, skipped files and excluded images."""

    def __init__(
        self,
        options: ConvertOptions,
        source_filter: SourceFilter,
        files: SourceFiles,
        listing: Listing,
        layout: Layout,
    ) -> None:
        self._options = options
        self._excluded_keys = source_filter.excluded_keys
        self._files = files
        self._listing = listing
        self._layout = layout
        # A folder that cannot name a class does not affect the others.
        folders = filter(is_class_folder, self._class_folders())
        names = assign_labels(folders, source=options.source)
        classes = source_filter.map_classes(names.values(), source=options.source)
        self._class_names = {folder: classes.names[name] for folder, name in names.items()}
        self._label_ids = label_ids(classes.labels)
        self._group_of = GroupKey(options.group_by)
        self._sources = Sources(classes.labels, layout, left_out=listing.skipped)
        self._sources.notes += classes.notes
        self._class_depth = 1 if layout == "classes" else 2
        self._nested_images = 0
        self._folder = self._find_folder(b"")

    def _class_folders(self) -> set[bytes]:
        if not self._options.leaf_class:
            return class_folders(self._listing.folders, self._layout)
        files = iter_rows(self._listing.files.to_table(), "key", "linked")
        keys = (key for key, linked in files if self._is_image(key, linked=linked))
        folders = (parse_key(key, self._layout, leaf_class=True).class_folder for key in keys)
        return {folder for folder in folders if folder is not None}

    def collect(self) -> Sources:
        # The remaining escaping links are excluded by key; all others were refused.
        for key in self._listing.escaping_links:
            self._sources.left_out.add(key, "excluded-key")
        for key in self._listing.broken_links:
            self._refuse(key, self._folder_of(key), "the link leads nowhere")
        for key, reason in self._listing.refused:
            folder = self._find_folder(b"")
            with suppress(UsageError):  # with --layout splits, it is in no split folder
                folder = self._folder_of(key)
            self._refuse(key, folder, reason)
        for files in self._listing.files.consume():
            self._add(files)
        self._note_nested_images()
        self._note_forbidden_folders()
        return self._sources

    def _add(self, files: pa.RecordBatch) -> None:
        """Add the images of a batch of files; all others are rejected, skipped or excluded."""
        columns = (files[name].to_pylist() for name in ("key", "size_bytes", "linked"))
        found = list(map(self._check, *columns))
        folders = [folder for folder in found if folder is not None]
        if not folders:
            return
        if len(folders) < len(found):
            files = files.filter(pa.array([folder is not None for folder in found]))
        self._nested_images += sum(folder.is_nested for folder in folders)
        self._sources.add_columns(
            [folder.split for folder in folders],
            key=files["key"],
            label=[folder.label for folder in folders],
            size_bytes=files["size_bytes"],
            group=self._groups_of(files["key"]),
            linked=pc.if_else(files["linked"], files["linked"], pa.scalar(None, pa.bool_())),
            member=files["member"],
            fingerprint=files["fingerprint"],
        )

    def _groups_of(self, keys: pa.Array) -> Column:
        if self._options.group_by is None:
            return [None] * len(keys)
        return list(map(self._group_of, keys.to_pylist()))

    def _check(self, key: bytes, size_bytes: int, linked: bool) -> _Folder | None:
        """Return the folder of an image; otherwise, record what becomes of the file."""
        if not (key in self._excluded_keys or self._is_image(key, linked=linked)):
            self._sources.left_out.add(key, "not-an-image")
            return None
        folder = self._folder_of(key)
        if self._exclude(key, folder):
            return None
        if folder.name is None:
            detail = "not in a class folder" if folder.class_folder is None else _NO_CLASS_NAME
            self._reject(key, None, "no-class", detail, size_bytes)
            return None
        if rejection := check_file_size(size_bytes, self._options):
            self._reject(key, folder.name, rejection.reason, rejection.detail, size_bytes)
            return None
        return folder

    def _is_image(self, key: bytes, *, linked: bool) -> bool:
        """Return whether a file has an image extension or begins like an image."""
        if key[key.rfind(b".") :].lower() in _IMAGE_EXTENSIONS:
            return True
        try:
            return sniff(self._files.read_head(key, linked=linked)) is not None
        except UnreadableError:
            return False

    def _folder_of(self, key: bytes) -> _Folder:
        """Return the folder of a key. Raises the errors of `parse_key`."""
        path = key[: key.rfind(b"/") + 1]
        if path != self._folder.path:  # most files follow another one of their folder
            self._folder = self._find_folder(path)
        return self._folder

    def _find_folder(self, path: bytes) -> _Folder:
        leaf_class = self._options.leaf_class
        class_folder, split = parse_key(path, self._layout, leaf_class=leaf_class)
        name = None if class_folder is None else self._class_names.get(class_folder)
        label = None if name is None else self._label_ids.get(name)
        is_dropped = class_folder in self._class_names and label is None
        is_nested = path.count(b"/") > self._class_depth and not leaf_class
        return _Folder(path, class_folder, name, label, split, is_dropped, is_nested)

    def _exclude(self, key: bytes, folder: _Folder) -> bool:
        """Return whether an image is excluded, and record it if so."""
        if key in self._excluded_keys:
            self._sources.left_out.add(key, "excluded-key")
        elif folder.is_dropped:
            assert folder.class_folder is not None
            self._sources.left_out.add(key, "excluded-class", class_name(folder.class_folder))
        else:
            return False
        return True

    def _refuse(self, key: bytes, folder: _Folder, reason: str) -> None:
        """Reject what the listing refused, unless it is excluded."""
        if not self._exclude(key, folder):
            self._reject(key, folder.name, "unreadable", reason, 0)

    def _reject(
        self, key: bytes, name: str | None, reason: str, detail: str, size_bytes: int
    ) -> None:
        self._sources.rejects.append(Reject(key_to_text(key), name, reason, detail, size_bytes))

    def _note_forbidden_folders(self) -> None:
        folders = sorted(self._listing.forbidden_folders)
        if folders:
            self._sources.notes.append(
                f"{pluralize(len(folders), 'folder')} cannot be read (permission denied) and "
                f"{'was' if len(folders) == 1 else 'were'} skipped: "
                f"{', '.join(map(key_to_text, folders[:_MAX_NOTED_FOLDERS]))}"
                f"{', …' * (len(folders) > _MAX_NOTED_FOLDERS)}"
            )

    def _note_nested_images(self) -> None:
        """Add a note about images in subfolders of class folders: subfolders may be the classes."""
        images, nested = len(self._sources.images), self._nested_images
        if nested:
            self._sources.notes.append(
                "subfolders of class folders do not count as classes; they contain "
                f"{pluralize(nested, 'image')}"
            )
        if len(self._class_names) == 1 and nested and nested == images:
            self._sources.notes.append(
                f"the only class is {escape_for_display(self._sources.labels[0])}: if the "
                "subfolders are the classes, pass --leaf-class"
            )
