"""Parameters that all shards of a conversion share."""

from __future__ import annotations

import msgspec

from pipelines.sources.containers.member import Container
from records.format.image_options import ImageOptions


class ConvertJob(msgspec.Struct, frozen=True):
    """The parameters that all shards of a conversion share; sent to each worker.

    Attributes:
        source: the folder or URL of the images or, if there are any, of the containers.
        output: the folder or URL of the dataset.
        plans: the folder or URL with the plans of the shards.
        labels, images: the label map, and the options of the stored images.
        workers: the number of threads of a worker.
        follow_symlinks: whether links that lead out of the source are followed.
        image_timeout: the time limit of an image, in seconds.
        containers: the containers of the images.
        plan_digest: the digest of the plan; a worker writes no shard of another one.
        may_exist: whether workers of an earlier run may have written shards of this plan.
        marks_shards: whether a worker marks the shard that it writes, see `run_state.mark_started`.
        crashed: the name of a shard whose worker may have crashed without a mark.
        returns_index: whether a worker returns the index that it has written.
        quality: whether the images are measured, and the measurements saved.
    """

    source: str
    output: str
    plans: str
    labels: tuple[str, ...]
    images: ImageOptions
    workers: int
    follow_symlinks: bool
    image_timeout: int
    containers: tuple[Container, ...] = ()
    plan_digest: str = ""
    may_exist: bool = True
    marks_shards: bool = True
    crashed: str | None = None
    returns_index: bool = False
    quality: bool = False
