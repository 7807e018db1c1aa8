"""Conversion in one and two processes, and the costs of its parts.

The benchmark shows how many cores of one machine a conversion can use. The conversions differ only
in the numbers of processes and threads.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.harness.environments import program
from benchmarks.harness.rounds import Case, Contestant
from benchmarks.harness.settings import Entry, Setting
from benchmarks.inputs.pictures import photos, small_images
from benchmarks.suites.conversion import OURS, convert

if TYPE_CHECKING:
    from pathlib import Path

CHECKS = ("header", "decode")


class Layout(NamedTuple):
    """Numbers of processes, and of threads in each process."""

    processes: int
    threads: int

    def name(self, check: str) -> str:
        """Return the name of the contestant with this check."""
        return f"{check}, {self.processes} × {self.threads}"

    def options(self) -> tuple[str, ...]:
        """Return the options of `convert` for this layout."""
        return ("--processes", str(self.processes), "--workers", str(self.threads))


ONE, THREADS, PROCESSES = Layout(1, 1), Layout(1, 2), Layout(2, 1)
LAYOUTS = (ONE, THREADS, PROCESSES)
PLAN, WRITE = "list and plan", "Example, checksums, write, index"
READ = {check: f"read and check, {check}" for check in CHECKS}
PARTS = {PLAN: "plan", READ["header"]: "header", READ["decode"]: "decode", WRITE: "write"}
"""Argument of the program that measures a part, by the name of the contestant."""


def enter(setting: Setting) -> Entry:
    """Return every layout with both checks, and every part, on photos and small images."""
    contestants = [
        convert(layout.name(check), "--check", check, *layout.options())
        for check in CHECKS
        for layout in LAYOUTS
    ]
    contestants += [_part(name, part) for name, part in PARTS.items()]
    cases = [
        *(small_images(setting.data, setting.cache, size) for size in setting.scale.small_sizes),
        *(photos(setting.data, setting.cache, size) for size in setting.scale.photo_sizes),
    ]
    return Entry(contestants, cases)


def _part(name: str, part: str) -> Contestant:
    def command(case: Case, out: Path) -> list[str]:
        own = [sys.executable, program("shardmill_part"), part]
        return [*own, str(case.source), str(out)]

    return Contestant(name, command, OURS)
