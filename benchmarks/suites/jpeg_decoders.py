"""Decoding and resizing of photos on one thread, by decoder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.harness.environments import make_environment, program
from benchmarks.harness.rounds import Case, Contestant
from benchmarks.harness.settings import Entry
from benchmarks.inputs.pictures import photos
from benchmarks.suites.conversion import Peer

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.harness.settings import Setting

_PROGRAM, _ENVIRONMENT = "jpeg_decoders", "decoders"
TENSORFLOW = Peer("TensorFlow", _PROGRAM, _ENVIRONMENT, ("tensorflow",))
SIMPLEJPEG = Peer(
    "simplejpeg, OpenCV", _PROGRAM, _ENVIRONMENT, ("simplejpeg", "opencv-python-headless")
)
PIECES = {
    TENSORFLOW: ("tensorflow-decode", "tensorflow-resize"),
    SIMPLEJPEG: ("simplejpeg-decode", "simplejpeg-opencv"),
}
"""The names of decoding alone, and of decoding and resizing, by decoder."""


def enter(setting: Setting) -> Entry:
    """Return the pieces of all decoders, on the photos of the reading benchmark."""
    contestants = [
        _contestant(setting, peer, piece) for peer, pieces in PIECES.items() for piece in pieces
    ]
    return Entry(contestants, [photos(setting.data, setting.cache, setting.scale.read_images)])


def _contestant(setting: Setting, peer: Peer, piece: str) -> Contestant:
    python = str(make_environment(peer.environment, setting.cache))

    def command(case: Case, _: Path) -> list[str]:
        return [python, program(peer.program), piece, str(case.source)]

    return Contestant(piece, command, peer.version())
