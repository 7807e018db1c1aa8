"""Conversion of class folders by `convert` and every peer, as whole processes."""

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
    """Program of a peer, its environment, and the packages whose versions are shown."""

    name: str
    program: str
    environment: str
    packages: tuple[str, ...]

    def version(self) -> str:
        """Return the packages and their versions as text."""
        pins = requirements(self.environment)
        return ", ".join(f"{package} {pins[package]}" for package in self.packages)


WEBDATASET = Peer(
    "WebDataset ShardWriter", "webdataset_writer", "webdataset", ("webdataset", "torch")
)
MDS = Peer("MosaicML MDSWriter", "mds_writer", "mds", ("mosaicml-streaming", "torch"))
LITDATA = Peer("LitData optimize, 2 workers", "litdata_optimize", "litdata", ("litdata", "torch"))
PEER_WRITERS = (
    Peer(PLAIN_LOOP, "plain_loop", "tensorflow", ("tensorflow",)),
    Peer(NAIVE_BEAM, "beam_tfrecord", "beam", ("apache-beam", "tensorflow")),
    Peer("TFDS, generator", "tfds_generator", "tfds", ("tensorflow-datasets", "tensorflow")),
    Peer(TFDS_BEAM, "tfds_beam", "tfds", ("tensorflow-datasets", "apache-beam")),
    WEBDATASET,
    MDS,
    LITDATA,
)
PILLOW_DECODER = Peer(PILLOW, "pillow_decode", "pillow", ("pillow",))


def enter(setting: Setting) -> Entry:
    """Return `convert` and every peer, on two numbers of photos and of small images."""
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
    """Return a contestant that runs the program of a peer in its environment."""
    python = str(make_environment(peer.environment, cache))

    def command(case: Case, out: Path) -> list[str]:
        return [python, program(peer.program), str(case.source), str(out), *more]

    return Contestant(peer.name, command, peer.version())


def convert(name: str, *options: str) -> Contestant:
    """Return a contestant that runs `convert` with these options, as a user calls it."""

    def command(case: Case, out: Path) -> list[str]:
        locations = [str(case.source), str(out)]
        return [sys.executable, "-m", "shardmill", "convert", *locations, "--quiet", *options]

    return Contestant(name, command, OURS)
