"""The command line, with a decoder that ends its process at one picture; run as a script."""

from __future__ import annotations

import os

from pipelines.writing import crash_isolation, shard
from records.format.image_options import ImageOptions
from records.images import NormalizedImage, Rejection, normalize_image
from tests.pipelines.pictures import make_picture

PICTURE = make_picture(666)


def store_or_die(data: bytes, options: ImageOptions) -> NormalizedImage | Rejection:
    """As `normalize_image`, but for the one picture."""
    if data == PICTURE:
        os.abort()
    return normalize_image(data, options)


class DeadlyStore(crash_isolation.SubprocessNormalizer):
    """Has the helper processes use that decoder."""

    def __init__(self) -> None:
        super().__init__(store_or_die)


if __name__ == "__main__":
    import shardmill.cli

    shard.normalize_image = store_or_die  # type: ignore[attr-defined]
    # The module itself is patched: the name is not exported, its class a different one.
    shard.SubprocessNormalizer = DeadlyStore  # type: ignore[attr-defined, assignment]  # as above
    shardmill.cli.main()
