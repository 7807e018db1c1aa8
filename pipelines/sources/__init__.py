"""Images to convert, from image folders and image lists."""

from __future__ import annotations

from pipelines.options import ConvertOptions
from pipelines.sources.base import SourceImage, Sources, read_source_filter
from pipelines.sources.image_folder import list_image_folder
from pipelines.sources.lists import list_image_list
from records.format.label_map import LabelMap
from records.text.formatting import pluralize

__all__ = ["SourceImage", "Sources", "list_sources"]


def list_sources(options: ConvertOptions, existing_labels: LabelMap | None = None) -> Sources:
    """List the images of the source and assign a label to each.

    Args:
        options: the source, and the selection of its images.
        existing_labels: the label map of the dataset, for an append; classes keep their labels.

    Raises:
        UsageError: a link leads out of the source, class names collide, or a list is invalid.
        InputNotFoundError: the source or the list does not exist.
    """
    source_filter = read_source_filter(options, existing_labels)
    list_images = list_image_folder if options.list is None else list_image_list
    sources = list_images(options, source_filter)
    if absent := len(source_filter.excluded_keys) - sources.left_out.reasons["excluded-key"]:
        sources.notes.append(f"--exclude lists {pluralize(absent, 'key')} not found in the source")
    return sources
