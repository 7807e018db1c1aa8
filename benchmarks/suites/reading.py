"""Reading of photos for training: decoding, resizing and batching in one epoch.

A batch has 32 shuffled images of 224×224 pixels. In the first case, each photo is
resized. In the second case, a random crop of each photo is resized, and half of the crops are
flipped. The second epoch is measured.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from benchmarks.harness.environments import make_environment, program
from benchmarks.harness.rounds import Case, Contestant
from benchmarks.harness.settings import Entry, Setting
from benchmarks.inputs.datasets import converted, written
from benchmarks.inputs.pictures import PHOTOS, photos
from benchmarks.suites.conversion import OURS, Peer

if TYPE_CHECKING:
    from pathlib import Path

CROPS = "random crops of photos"
ORIGINALS = "shards of the originals"
RESIZED = "shards, --resize 224"
MIXED = "shards, --resize 224 --store mixed"
RAW = "shards, --resize 224 --store raw"
KERAS = "Keras, image_dataset_from_directory"
TORCHVISION = "torchvision, DataLoader, 2 workers"

FORMS = {
    ORIGINALS: (),
    RESIZED: ("--resize", "224"),
    MIXED: ("--resize", "224", "--store", "mixed"),
    RAW: ("--resize", "224", "--store", "raw"),
}
"""The options of `convert` for each form of the shards."""

GRAIN = Peer("Grain, ArrayRecord", "grain_reader", "grain", ("grain", "array-record", "simplejpeg"))
LITDATA = Peer(
    "LitData StreamingDataset", "litdata_reader", "litdata", ("litdata", "torch", "simplejpeg")
)
WEBDATASET = Peer(
    "WebDataset", "webdataset_reader", "webdataset", ("webdataset", "torch", "simplejpeg")
)
MDS = Peer(
    "MosaicML StreamingDataset", "mds_reader", "mds", ("mosaicml-streaming", "torch", "simplejpeg")
)
HUGGING_FACE = Peer(
    "Hugging Face datasets, Parquet",
    "huggingface_reader",
    "huggingface",
    ("datasets", "torch", "simplejpeg"),
)
WRITERS = {
    GRAIN: "array_record_writer",
    LITDATA: "litdata_optimize",
    WEBDATASET: "webdataset_writer",
    MDS: "mds_writer",
    HUGGING_FACE: "parquet_writer",
}
"""The program that writes the files of a peer."""
PEERS = (
    *WRITERS,
    Peer("NVIDIA DALI on CPUs", "dali_reader", "dali", ("nvidia-dali-cuda130",)),
    Peer(
        "torchvision with simplejpeg, 2 workers",
        "torchvision_simplejpeg_reader",
        "torchvision",
        ("torchvision", "torch", "simplejpeg"),
    ),
    Peer(KERAS, "keras_reader", "tensorflow", ("keras", "tensorflow")),
    Peer(TORCHVISION, "torchvision_reader", "torchvision", ("torchvision", "torch", "pillow")),
)
SHARDS = 16
"""Number of files of each peer, so that all workers have work; one worker reads a file."""

_MODES = {PHOTOS: "whole", CROPS: "crops"}
_EPOCHS = "2"


def enter(setting: Setting) -> Entry:
    """Return readers of all forms of shards, and peers with their own files or class folders."""
    ours = [_ours(setting, name, options) for name, options in FORMS.items()]
    peers = [_peer(setting, peer) for peer in PEERS]
    case = photos(setting.data, setting.cache, setting.scale.read_images)
    return Entry([*ours, *peers], [case, replace(case, name=CROPS)])


def location(setting: Setting, case: Case, peer: Peer) -> Path:
    """Return what a peer reads: the class folders, or the files that its writer makes of them."""
    writer = WRITERS.get(peer)
    if writer is None:
        return case.source
    return written(setting, case, peer._replace(program=writer), str(case.bytes // SHARDS))


def _ours(setting: Setting, name: str, options: tuple[str, ...]) -> Contestant:
    def command(case: Case, out: Path) -> list[str]:
        dataset = converted(setting, case, *options)
        own = [sys.executable, program("shardmill_reader"), _MODES[case.name]]
        return [*own, str(dataset), _EPOCHS, str(out)]

    return Contestant(name, command, OURS)


def _peer(setting: Setting, peer: Peer) -> Contestant:
    python = str(make_environment(peer.environment, setting.cache))

    def command(case: Case, out: Path) -> list[str]:
        source = location(setting, case, peer)
        return [python, program(peer.program), _MODES[case.name], str(source), _EPOCHS, str(out)]

    return Contestant(peer.name, command, peer.version())
