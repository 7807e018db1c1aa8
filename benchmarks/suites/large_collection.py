"""Conversion of 128,000 photos by `convert` and three peers.

The photos have about the size of ImageNet photos. LitData has published the times in which it,
WebDataset and MosaicML convert ImageNet. The photos are removed at the end, because they need more
space than all other data of the benchmarks.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import click

from benchmarks.harness.settings import Entry
from benchmarks.inputs.pictures import COLLECTION_BYTES, collection
from benchmarks.suites.conversion import (
    DECODE,
    HEADER,
    LITDATA,
    MDS,
    WEBDATASET,
    convert,
    of_peer,
)

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.harness.settings import Setting

PEERS = (LITDATA, WEBDATASET, MDS)
_IMAGENET_IMAGES = 1_281_167
# https://github.com/Lightning-AI/litData#time-to-optimize-data does not name the machine.
_PUBLISHED_SECONDS = {
    LITDATA.name: 10 * 60 + 5,
    WEBDATASET.name: 32 * 60 + 36,
    MDS.name: 49 * 60 + 49,
}
# The photos, the dataset of one program, and a reserve of a tenth of the photos.
_SPACE_PER_PHOTO_BYTE = 2.1


def published_rate(name: str) -> float:
    """Return the images per second that LitData published for a peer."""
    return _IMAGENET_IMAGES / _PUBLISHED_SECONDS[name]


def enter(setting: Setting) -> Entry:
    """Return `convert` with both checks and the peers, in one round, on one number of photos."""
    images = setting.scale.collection_images
    check_space(setting.cache, round(images * COLLECTION_BYTES * _SPACE_PER_PHOTO_BYTE))
    ours = [convert(HEADER, "--check", "header"), convert(DECODE, "--check", "decode")]
    peers = [of_peer(peer, setting.cache) for peer in PEERS]
    case = collection(setting.data, setting.derived, images)
    return Entry([*ours, *peers], [case], rounds=1)


def check_space(folder: Path, needed_bytes: int) -> None:
    """Check the free space of the disk of a folder, which is made if it does not exist.

    Raises:
        ClickException: less than `needed_bytes` is free.
    """
    folder.mkdir(parents=True, exist_ok=True)
    free_bytes = shutil.disk_usage(folder).free
    if free_bytes < needed_bytes:
        raise click.ClickException(
            f"{folder}: too little free disk space for the benchmark large-collection:"
            f" expected {needed_bytes / 1e9:,.0f} GB, got {free_bytes / 1e9:,.0f} GB;"
            " free space, pass --cache DIR on a larger disk, or name the other benchmarks"
        )
