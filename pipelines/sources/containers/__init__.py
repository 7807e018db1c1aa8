"""Containers of images: archives, read without extraction."""

from pipelines.sources.containers.files import ContainerFiles, open_images, read_image
from pipelines.sources.containers.find import find_in_folder, find_named, locate_source
from pipelines.sources.containers.unpack import NewCopies

__all__ = [
    "ContainerFiles",
    "NewCopies",
    "find_in_folder",
    "find_named",
    "locate_source",
    "open_images",
    "read_image",
]
