"""Conversion of class folders: `convert` and every peer, as whole processes."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.harness.environments import make_environment, program, requirements
from benchmarks.harness.rounds import Case, Contestant
from benchmarks.harness.settings import Entry, Setting
from benchmarks.inputs.pictures import photos, small_images
from records.runtime.cpu import available_cpus

if TYPE_CHECKING:
    from pathlib import Path

HEADER = "convert --check header"
DECODE = "convert --check decode"
PILLOW = "Pillow, decoding alone"
OURS = "this one"
PLAIN_LOOP = "plain loop, TFRecordWriter"
NAIVE_BEAM = "Beam, WriteToTFRecord"
TFDS_BEAM = "TFDS, Beam"


class Peer(NamedTuple):
    """A peer's program, its environment, and the packages that determine its version."""

    name: str
    program: str
    environment: str
    packages: tuple[str, ...]

    def version(self) -> str:
        """Return the packages that matter, with their versions."""
        pins = requirements(self.environment)
        return ", ".join(f"{package} {pins[package]}" for package in self.packages)


PEER_WRITERS = (
    Peer(PLAIN_LOOP, "plain_loop", "tensorflow", ("tensorflow",)),
    Peer(NAIVE_BEAM, "beam_tfrecord", "beam", ("apache-beam", "tensorflow")),
    Peer("TFDS, generator", "tfds_generator", "tfds", ("tensorflow-datasets", "tensorflow")),
    Peer(TFDS_BEAM, "tfds_beam", "tfds", ("tensorflow-datasets", "apache-beam")),
    Peer("WebDataset ShardWriter", "webdataset_writer", "webdataset", ("webdataset", "torch")),
    Peer("MosaicML MDSWriter", "mds_writer", "mds", ("mosaicml-streaming", "torch")),
    Peer("LitData optimize, 2 workers", "litdata_optimize", "litdata", ("litdata", "torch")),
)
PILLOW_DECODER = Peer(PILLOW, "pillow_decode", "pillow", ("pillow",))


def enter(setting: Setting) -> Entry:
    """Enter shardmill and every peer on photos and small images, of two sizes each."""
    peers = [of_peer(peer, setting.cache) for peer in PEER_WRITERS]
    pillow = of_peer(PILLOW_DECODER, setting.cache, str(available_cpus()))
    cases = [
        *(small_images(setting.data, setting.cache, size) for size in setting.scale.small_sizes),
        *(photos(setting.data, setting.cache, size) for size in setting.scale.photo_sizes),
    ]
    checks = [(HEADER, "header"), (DECODE, "decode")]
    ours = [convert(name, "--check", check) for name, check in checks]
    contestants = [*ours, *peers, pillow]
    return Entry(contestants, cases)


def of_peer(peer: Peer, cache: Path, *more: str) -> Contestant:
    """Return a peer's program in its own environment, which is made unless it exists."""
    python = str(make_environment(peer.environment, cache))

    def command(case: Case, out: Path) -> list[str]:
        return [python, program(peer.program), str(case.source), str(out), *more]

    return Contestant(peer.name, command, peer.version())


def convert(name: str, *options: str) -> Contestant:
    """Return `convert` with these options and its own start-up, as a user calls it."""

    def command(case: Case, out: Path) -> list[str]:
        locations = [str(case.source), str(out)]
        return [sys.executable, "-m", "shardmill", "convert", *locations, "--quiet", *options]

    return Contestant(name, command, OURS)
