"""Conversion on every engine, by number of workers.

The benchmark shows the overhead of an engine compared with the local runner. `make cluster-test`
downloads the engines; missing engines are reported as failed.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.harness.environments import program
from benchmarks.harness.rounds import Case, Contestant
from benchmarks.harness.settings import Entry, Setting
from benchmarks.inputs.pictures import photos
from benchmarks.suites.conversion import OURS

if TYPE_CHECKING:
    from pathlib import Path


class Place(NamedTuple):
    """Engine and number of workers; each worker has one thread for images."""

    name: str
    engine: str
    workers: int


LOCAL = (Place("local", "local", 1), Place("local, 2 processes", "processes", 2))
PLACES = (
    *LOCAL,
    Place("Prism", "prism", 2),
    Place("Flink in one process", "flink", 1),
    Place("Flink in one process, 2 slots", "flink", 2),
    Place("Flink cluster, 1 machine", "flink-cluster", 1),
    Place("Flink cluster, 2 machines", "flink-cluster", 2),
    Place("Spark in one process", "spark", 1),
    Place("Spark in one process, 2 threads", "spark", 2),
)


def enter(setting: Setting) -> Entry:
    """Return each engine, which is started and warmed up first, on two numbers of photos."""
    cases = [photos(setting.data, setting.cache, size) for size in setting.scale.photo_sizes]
    return Entry([_contestant(place) for place in PLACES], cases)


def _contestant(place: Place) -> Contestant:
    def command(case: Case, out: Path) -> list[str]:
        own = (program("shardmill_on_engine"), place.engine, str(place.workers))
        return [sys.executable, *own, str(case.source), str(out)]

    return Contestant(place.name, command, OURS)
