"""Resizing of 12-megapixel photos by `convert --resize` and peers, on one thread."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.harness.settings import Entry
from benchmarks.inputs.pictures import large_photos
from benchmarks.suites.conversion import Peer, convert, of_peer
from benchmarks.suites.processes import ONE

if TYPE_CHECKING:
    from benchmarks.harness.settings import Setting

RESIZE = "convert --resize 256 --fit crop"
VIPS = "libvips, thumbnail"
PEERS = (
    Peer(VIPS, "vips_thumbnail", "vips", ("pyvips", "pyvips-binary")),
    Peer(
        "img2dataset's resizer, OpenCV area", "opencv_area", "opencv", ("opencv-python-headless",)
    ),
)
_SIDE = "256"


def enter(setting: Setting) -> Entry:
    """Return `convert` and the peers, on two numbers of photos."""
    ours = convert(RESIZE, "--resize", _SIDE, "--fit", "crop", *ONE.options())
    peers = [of_peer(peer, setting.cache, _SIDE) for peer in PEERS]
    sizes = setting.scale.large_photos
    cases = [large_photos(setting.data, setting.cache, size) for size in sizes]
    return Entry([ours, *peers], cases)
