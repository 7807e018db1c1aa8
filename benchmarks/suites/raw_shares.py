"""Disk space and reading speed by share of raw images."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from benchmarks.harness.environments import program
from benchmarks.harness.rounds import Case, Contestant
from benchmarks.harness.settings import Entry, Setting
from benchmarks.inputs.datasets import converted
from benchmarks.inputs.pictures import photos
from benchmarks.suites.conversion import OURS

if TYPE_CHECKING:
    from pathlib import Path

SHARES: dict[str, tuple[str, ...]] = {
    "0": (),
    **{share: ("--store", "mixed", "--raw-share", share) for share in ("0.1", "0.3", "0.6")},
    "1": ("--store", "raw"),
}
"""The options of `convert` for each share; the shares 0 and 1 do not use `--store mixed`."""
_RESIZE = ("--resize", "224")


def enter(setting: Setting) -> Entry:
    """Return readers of the same photos at 224×224, stored with every share."""
    contestants = [_reader(setting, share, options) for share, options in SHARES.items()]
    return Entry(contestants, [photos(setting.data, setting.cache, setting.scale.read_images)])


def _reader(setting: Setting, share: str, options: tuple[str, ...]) -> Contestant:
    def command(case: Case, out: Path) -> list[str]:
        dataset = converted(setting, case, *_RESIZE, *options)
        return [sys.executable, program("shardmill_reader"), "whole", str(dataset), "2", str(out)]

    return Contestant(share, command, OURS)
