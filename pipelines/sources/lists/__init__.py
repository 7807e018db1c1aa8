"""Lists of images: CSV, JSON and Parquet, and metadata next to images."""

from pipelines.sources.lists.image_list import list_image_list
from pipelines.sources.lists.metadata import find_metadata, list_metadata

__all__ = ["find_metadata", "list_image_list", "list_metadata"]
