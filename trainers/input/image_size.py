"""What size a model is fed: what was asked for, else the dataset's own, else the model's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from records.errors import UsageError
from records.format.index import read_index
from records.format.layout import index_name
from trainers.config import ImageShape

if TYPE_CHECKING:
    from records.dataset import Dataset
    from trainers.input.selection import Selection
    from trainers.models import ModelSpec


def resolve_image_size(
    dataset: Dataset, training: Selection, image_size: tuple[int, int] | None, spec: ModelSpec
) -> ImageShape:
    """What the model is fed: the size asked for, else the dataset's own, else the model's.

    A dataset has a size of its own where it was converted with `--resize`, or where all its
    training images have one size that is no larger than the model's. It is enlarged to the smallest
    size that the model works on.

    Raises:
        UsageError: the size asked for is too small for the model.
    """
    channels: Literal[1, 3] = spec.channels or dataset.manifest.settings.images.channels
    if image_size is not None:
        if min(image_size) < spec.least_side_px:
            raise UsageError(
                "the image size is too small for this model",
                expected=f"at least {spec.least_side_px} px",
                got=f"{image_size[0]}x{image_size[1]}",
            )
        return ImageShape(*image_size, channels)
    height_px, width_px = _dataset_size(dataset, training, spec.size_px) or spec.size_px
    least_px = spec.least_side_px
    return ImageShape(max(height_px, least_px), max(width_px, least_px), channels)


def _dataset_size(
    dataset: Dataset, training: Selection, most_px: tuple[int, int]
) -> tuple[int, int] | None:
    resize = dataset.manifest.settings.images.resize
    if resize is not None:
        return resize[1], resize[0]
    sizes: set[tuple[int, int]] = set()
    for shard in training.shards:
        table = read_index(dataset.storage, index_name(shard.name)).table
        unique = table.group_by(["height", "width"]).aggregate([])
        sizes.update(zip(*(unique[side].to_pylist() for side in ("height", "width")), strict=True))
        if len(sizes) > 1:
            return None
    size = sizes.pop()
    return size if size[0] <= most_px[0] and size[1] <= most_px[1] else None
