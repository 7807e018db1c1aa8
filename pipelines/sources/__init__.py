"""Images to convert, from image folders, containers and image lists."""

from __future__ import annotations

from pipelines.options import ConvertOptions
from pipelines.sources.base import SourceFilter, SourceImage, Sources, read_source_filter
from pipelines.sources.class_layout import NO_CLASSES
from pipelines.sources.containers import (
    ContainerFiles,
    NewCopies,
    find_in_folder,
    find_named,
    locate_source,
)
from pipelines.sources.containers.kinds import kind_of
from pipelines.sources.containers.member import Container
from pipelines.sources.containers.wanted import NO_FIELDS, WantedFields
from pipelines.sources.image_folder import list_image_folder
from pipelines.sources.labelled import COLUMN_HINT, list_labelled
from pipelines.sources.lists import list_image_list
from pipelines.sources.lists.columns import NO_COLUMN
from pipelines.sources.lists.kept_columns import named_to_keep
from pipelines.sources.lists.table import show_names
from pipelines.sources.reader import SourceFiles, open_source
from pipelines.sources.walk import ListedFile, Listing
from records.errors import InputNotFoundError, UsageError
from records.format.manifest import Manifest
from records.text.escaping import escape_for_display
from records.text.formatting import pluralize
from records.text.keys import key_to_text

__all__ = ["SourceImage", "Sources", "list_sources"]


def list_sources(
    options: ConvertOptions,
    base: Manifest | None = None,
    *,
    new_copies: NewCopies | None = None,
) -> Sources:
    """List the images of the source and assign a label to each.

    Args:
        options: the source, and the selection of its images.
        base: the manifest of the dataset to append to; classes keep their labels.
        new_copies: the copies of containers that the listing writes, if it may.

    Raises:
        UsageError: a link leads out of the source, class names collide, or a list is invalid.
        InputNotFoundError: the source or the list does not exist, or a container cannot be read.
        CorruptDataError: a container is damaged.
    """
    source_filter = read_source_filter(options, base)
    located = locate_source(options.source)
    follow_symlinks = options.follow_symlinks
    files: SourceFiles = open_source(located.folder, follow_symlinks=follow_symlinks)
    if located.name is not None:
        found = find_named(located, files, follow_symlinks=follow_symlinks)
        files = _open_containers(located.folder, files, found, options, new_copies)
    if options.list is not None:
        sources = list_image_list(options, source_filter, files)
    else:
        sources, files = _list_folder(options, source_filter, files, located.folder, new_copies)
    if sources.columns is None:
        _require_no_columns(options, base)
    sources.location = located.folder
    if isinstance(files, ContainerFiles):
        sources.containers = files.containers
        _describe_containers(sources, files)
    if absent := len(source_filter.excluded_keys) - sources.left_out.reasons["excluded-key"]:
        sources.notes.append(f"--exclude lists {pluralize(absent, 'key')} not found in the source")
    return sources


def _require_no_columns(options: ConvertOptions, base: Manifest | None) -> None:
    """Raise UsageError if the dataset to append to keeps columns, which a folder does not have."""
    if base is not None and base.settings.columns:
        names = tuple(column.name for column in base.settings.columns)
        raise UsageError(
            "the dataset keeps columns of a list, and there is no list",
            path=escape_for_display(options.source),
            expected=show_names(names),
            hint="add --list FILE",
        )


def _describe_containers(sources: Sources, files: ContainerFiles) -> None:
    images, classes = len(sources.images), len(sources.labels)
    found = f"{pluralize(images, 'image')} in {pluralize(classes, 'class')}"
    single = [escape_for_display(key_to_text(key)) for key in files.members.single_classes]
    as_class = f"{pluralize(len(single), 'container')} as one class" if single else None
    parts = [f"{files.describe()} with {found}", as_class, sources.understood]
    sources.understood = "; ".join(part for part in parts if part)
    sources.notes += files.members.notes
    if single:
        sources.notes.append(
            f"the images of {pluralize(len(single), 'container')} are in no folder, and have the"
            f" class of its name; if a table has their classes, convert the container in its own"
            f" run with --append --list FILE; the first: {single[0]}"
        )
    if files.members.archives:
        archives = pluralize(files.members.archives, "archive")
        sources.notes.append(f"{archives} inside the containers are not read")


def _open_containers(
    location: str,
    files: SourceFiles,
    found: list[ListedFile],
    options: ConvertOptions,
    new_copies: NewCopies | None,
) -> ContainerFiles:
    containers = [
        Container(file.key, file.size_bytes, file.fingerprint, kind_of(file.key).is_unpacked)
        for file in found
    ]
    is_list = options.list is not None
    return ContainerFiles(
        location,
        files,
        containers,
        for_list=is_list,
        wanted=NO_FIELDS if is_list else _wanted_fields(options),
        new_copies=new_copies,
    )


def _wanted_fields(options: ConvertOptions) -> WantedFields:
    has_labels = options.label_column != NO_COLUMN
    return WantedFields(
        options.label_column if has_labels else None,
        tuple(named_to_keep(options)),
        options.keep_columns == "all",
        options.is_multi_label,
        options.target_column,
        has_labels,
    )


def _list_folder(
    options: ConvertOptions,
    source_filter: SourceFilter,
    files: SourceFiles,
    location: str,
    new_copies: NewCopies | None,
) -> tuple[Sources, SourceFiles]:
    """List the images of a folder, or of the containers in a folder without images."""
    listing = files.walk(follow_symlinks=options.follow_symlinks)
    if not isinstance(files, ContainerFiles) and (found := find_in_folder(listing)):
        files = _open_containers(location, files, found, options, new_copies)
        listing = files.walk()
    if isinstance(files, ContainerFiles) and files.members.given is not None:
        return list_labelled(options, source_filter, files), files
    try:
        return list_image_folder(options, source_filter, files, listing), files
    except UsageError as error:
        if error.what == NO_CLASSES and isinstance(files, ContainerFiles):
            if listing.refused and not listing.files:
                raise _nothing_readable(listing, options) from error
            error.hint = f"{error.hint}; {COLUMN_HINT}"
        raise


def _nothing_readable(listing: Listing, options: ConvertOptions) -> InputNotFoundError:
    key, reason = listing.refused[0]
    return InputNotFoundError(
        "no image in the containers can be read",
        path=escape_for_display(options.source),
        got=f"{pluralize(len(listing.refused), 'member')}, the first: "
        f"{escape_for_display(key_to_text(key))}: {reason}",
    )
