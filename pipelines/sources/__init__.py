"""The images to convert: image folders and image lists."""

from __future__ import annotations

from pipelines.options import ConvertOptions
from pipelines.sources.base import Sources, read_source_filter
from pipelines.sources.image_folder import find_in_folders
from pipelines.sources.image_list import find_in_list
from records.format.label_map import LabelMap
from records.text.escaping import escape_for_display

__all__ = ["Sources", "list_sources"]


def list_sources(options: ConvertOptions, kept_labels: LabelMap | None = None) -> Sources:
    """List the source and give every image its class.

    Args:
        options: where it is, and what to take of it.
        kept_labels: of a dataset that is added to: classes keep their numbers.

    Raises:
        UsageError: links lead out of the source, classes collide, a list is wrong.
        InputNotFoundError: there is no source, or no list.
    """
    choice = read_source_filter(options, kept_labels)
    find = find_in_folders if options.list is None else find_in_list
    sources = find(options, choice)
    if absent := len(choice.excluded) - sources.excluded_keys:
        sources.notes.append(f"{absent} keys of --exclude are not in the source")
    sources.notes += [
        f"class {escape_for_display(name)} has no images"
        for label, name in enumerate(sources.labels)
        if label not in sources.labels_present
    ]
    return sources
