"""Command line whose decoder ends its process at one picture; a script."""

from __future__ import annotations

import os

from pipelines.writing import crash_isolation, shard
from records.format.image_options import ImageOptions
from records.images import NormalizedImage, Rejection, normalize_image
from tests.pipelines.pictures import make_picture

PICTURE = make_picture(666)


def store_or_die(data: bytes, options: ImageOptions) -> NormalizedImage | Rejection:
    """Normalize an image, or end the process if it is the deadly picture."""
    if data == PICTURE:
        os.abort()
    return normalize_image(data, options)


class DeadlyStore(crash_isolation.SubprocessNormalizer):
    """Isolated normalizer whose helper processes use that decoder."""

    def __init__(self, timeout_s: int) -> None:
        super().__init__(timeout_s, store_or_die)


if __name__ == "__main__":
    import shardmill.cli

    shard.normalize_image = store_or_die  # type: ignore[attr-defined]
    # The module itself is patched: the name is not exported, its class a different one.
    shard.SubprocessNormalizer = DeadlyStore  # type: ignore[attr-defined, assignment]  # as above
    shardmill.cli.main()
