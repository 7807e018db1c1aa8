"""The command line, with a decoder that ends its process at one picture; run as a script."""

from __future__ import annotations

import os

from pipelines import isolation, write
from records.images import Rejection, StoredImage, store_image
from records.images.options import ImageOptions
from tests.pipelines.pictures import make_picture

PICTURE = make_picture(666)


def store_or_die(data: bytes, options: ImageOptions) -> StoredImage | Rejection:
    """As `store_image`, but for the one picture."""
    if data == PICTURE:
        os.abort()
    return store_image(data, options)


class DeadlyStore(isolation.IsolatedStore):
    """Has the helper processes use that decoder."""

    def __init__(self) -> None:
        super().__init__(store_or_die)


if __name__ == "__main__":
    import shardmill

    write.store_image = store_or_die  # type: ignore[attr-defined]
    write.IsolatedStore = DeadlyStore  # type: ignore[misc]
    shardmill.main()
