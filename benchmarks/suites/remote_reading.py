"""Reading of photos from an S3 server in one epoch.

The server runs on the same machine; `make s3-server` builds it. The first epoch of a process is
measured, so no library has copies of shards on the disk.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from benchmarks.harness.environments import make_environment, program
from benchmarks.harness.rounds import Case, Contestant
from benchmarks.harness.settings import Entry, Setting
from benchmarks.inputs.datasets import converted
from benchmarks.inputs.pictures import photos
from benchmarks.suites.conversion import OURS
from benchmarks.suites.reading import HUGGING_FACE, LITDATA, MDS, SHARDS, WEBDATASET, location

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.suites.conversion import Peer

BYTES = "undecoded photos"
STREAMED = "shardmill"
COPIED = 'shardmill, cache="shards"'
PEERS = (LITDATA, MDS, WEBDATASET, HUGGING_FACE)
_EPOCHS = "1"


def enter(setting: Setting) -> Entry:
    """Return shardmill and the peers that read from S3, on undecoded and on decoded photos."""
    peers = [_peer(setting, peer) for peer in PEERS]
    ours = [_ours(setting, STREAMED, "whole"), _ours(setting, COPIED, "copies")]
    case = photos(setting.data, setting.cache, setting.scale.read_images)
    return Entry([*ours, *peers], [replace(case, name=BYTES), case])


def _ours(setting: Setting, name: str, mode: str) -> Contestant:
    def command(case: Case, out: Path) -> list[str]:
        reader = [sys.executable, program("shardmill_reader")]
        own_mode = "bytes" if case.name == BYTES else mode
        dataset = converted(setting, case, "--shards", str(SHARDS))
        return _serve(setting, dataset, [*reader, own_mode], out)

    return Contestant(name, command, OURS)


def _peer(setting: Setting, peer: Peer) -> Contestant:
    python = str(make_environment(peer.environment, setting.cache))

    def command(case: Case, out: Path) -> list[str]:
        mode = "bytes" if case.name == BYTES else "whole"
        dataset = location(setting, case, peer)
        return _serve(setting, dataset, [python, program(peer.program), mode], out)

    return Contestant(peer.name, command, peer.version())


def _serve(setting: Setting, dataset: Path, reader: list[str], out: Path) -> list[str]:
    """Return a command that serves the dataset while a reader runs; it replaces `URL`."""
    server = [sys.executable, program("on_s3"), str(setting.derived / "s3"), str(dataset)]
    return [*server, *reader, "URL", _EPOCHS, str(out)]
