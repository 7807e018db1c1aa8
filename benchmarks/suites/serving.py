"""Predictions of photos with MobileNetV2 by `serve`, compared with those of `Predictor`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from benchmarks.harness.environments import program
from benchmarks.harness.rounds import Case, Contestant
from benchmarks.harness.settings import Entry
from benchmarks.inputs.pictures import photos
from benchmarks.inputs.training_run import trained_mobilenet
from benchmarks.suites.conversion import OURS

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.harness.settings import Setting

PREDICTOR = "Predictor.predict_files"
SERVE = "serve, 64 clients"
_PROGRAMS = {PREDICTOR: "shardmill_predictor", SERVE: "shardmill_server"}


def enter(setting: Setting) -> Entry:
    """Return both programs, which read the same photos."""
    run = trained_mobilenet(setting)
    contestants = [_contestant(name, run) for name in _PROGRAMS]
    size = setting.scale.predicted_photos[0]
    return Entry(contestants, [photos(setting.data, setting.cache, size)])


def _contestant(name: str, run: Path) -> Contestant:
    def command(case: Case, _out: Path) -> list[str]:
        return [sys.executable, program(_PROGRAMS[name]), str(run), str(case.source)]

    return Contestant(name, command, OURS)
