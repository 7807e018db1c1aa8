"""Size of the images that a model receives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from records.errors import UsageError
from records.format.index import read_shard_index
from trainers.config import ImageShape

if TYPE_CHECKING:
    from records.dataset import Dataset
    from trainers.input.selection import Selection
    from trainers.models import ModelSpec


def resolve_image_size(
    dataset: Dataset, training: Selection, image_size: tuple[int, int] | None, spec: ModelSpec
) -> ImageShape:
    """Return the requested size, else the size of the dataset, else the default of the model.

    A dataset that was converted with `--resize` has the size of `--resize`. Any other dataset has a
    size if all training images have the same size, and this size is not larger than the default of
    the model. If the size of the dataset is too small for the model, it is increased to the
    smallest size that the model supports. The backbone of a preset has one size: the default of its
    spec.

    Raises:
        UsageError: the requested size is too small for the model.
    """
    channels: Literal[1, 3] = spec.channels or dataset.manifest.settings.images.channels
    if image_size is not None:
        if min(image_size) < spec.min_side_px:
            raise UsageError(
                "the image size is too small for this model",
                expected=f"a height and a width of at least {spec.min_side_px} px",
                got=f"{image_size[0]}x{image_size[1]}",
            )
        return ImageShape(*image_size, channels)
    if spec.preset is not None:
        return ImageShape(*spec.size_px, channels)
    size = dataset_size(dataset, training)
    is_resized = dataset.manifest.settings.images.resize is not None
    if size is None or not (
        is_resized or (size[0] <= spec.size_px[0] and size[1] <= spec.size_px[1])
    ):
        size = spec.size_px
    min_px = spec.min_side_px
    return ImageShape(max(size[0], min_px), max(size[1], min_px), channels)


def dataset_size(dataset: Dataset, selection: Selection) -> tuple[int, int] | None:
    """Return (height, width) in pixels of all images in the selected shards; None if sizes differ.

    Raises:
        CorruptDataError: an index is missing or damaged.
    """
    resize = dataset.manifest.settings.images.resize
    if resize is not None:
        return resize[1], resize[0]
    sizes: set[tuple[int, int]] = set()
    for shard in selection.shards:
        table = read_shard_index(dataset.storage, shard).table
        unique = table.group_by(["height", "width"]).aggregate([])
        sizes.update(zip(*(unique[side].to_pylist() for side in ("height", "width")), strict=True))
        if len(sizes) > 1:
            return None
    return sizes.pop()
