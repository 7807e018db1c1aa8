"""Reading of photos for training: decoding, resizing and batching in one epoch.

A batch has 32 images of 224×224 pixels. The second epoch is measured.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from benchmarks.harness.environments import make_environment, program
from benchmarks.harness.rounds import Case, Contestant
from benchmarks.harness.settings import Entry, Setting
from benchmarks.inputs.datasets import converted
from benchmarks.inputs.pictures import photos
from benchmarks.suites.conversion import OURS, Peer

if TYPE_CHECKING:
    from pathlib import Path

ORIGINALS = "shards of the originals"
RESIZED = "shards, --resize 224"
RAW = "shards, --resize 224 --store raw"
KERAS = "Keras, image_dataset_from_directory"
TORCHVISION = "torchvision, DataLoader, 2 workers"

_OPTIONS = {
    ORIGINALS: (),
    RESIZED: ("--resize", "224"),
    RAW: ("--resize", "224", "--store", "raw"),
}
PEERS = (
    Peer(KERAS, "keras_reader", "tensorflow", ("keras", "tensorflow")),
    Peer(TORCHVISION, "torchvision_reader", "torchvision", ("torchvision", "torch", "pillow")),
)


def enter(setting: Setting) -> Entry:
    """Return readers of three kinds of shards, and peers that read the class folders."""
    ours = [_ours(setting, name, options) for name, options in _OPTIONS.items()]
    peers = [_peer(setting, peer) for peer in PEERS]
    case = photos(setting.data, setting.cache, setting.scale.read_images)
    return Entry([*ours, *peers], [case])


def _ours(setting: Setting, name: str, options: tuple[str, ...]) -> Contestant:
    def command(case: Case, _: Path) -> list[str]:
        dataset = converted(setting, case, *options)
        return [sys.executable, program("shardmill_reader"), str(dataset)]

    return Contestant(name, command, OURS)


def _peer(setting: Setting, peer: Peer) -> Contestant:
    python = str(make_environment(peer.environment, setting.cache))

    def command(case: Case, _: Path) -> list[str]:
        return [python, program(peer.program), str(case.source)]

    return Contestant(peer.name, command, peer.version())
