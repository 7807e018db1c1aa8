"""Prediction of photos with ResNet-18 by `predict --csv-parts`, as whole processes."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from benchmarks.harness.rounds import Case, Contestant
from benchmarks.harness.settings import Entry
from benchmarks.inputs.pictures import photos
from benchmarks.inputs.training_run import RESNET, trained
from benchmarks.suites.conversion import OURS

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.harness.settings import Setting

ONE = "predict --csv-parts"
TWO = "predict --csv-parts, 2 processes of Beam"
_FLAGS = {
    ONE: (),
    TWO: ("--", "--direct_running_mode=multi_processing", "--direct_num_workers=2"),
}


def enter(setting: Setting) -> Entry:
    """Return the command with one and with two processes, in one round, on numbers of photos."""
    run = trained(setting)
    contestants = [_predict(name, run, flags) for name, flags in _FLAGS.items()]
    sizes = setting.scale.predicted_photos
    cases = [photos(setting.data, setting.cache, size) for size in sizes]
    return Entry(contestants, cases, rounds=1)


def _predict(name: str, run: Path, flags: tuple[str, ...]) -> Contestant:
    def command(case: Case, out: Path) -> list[str]:
        own = [sys.executable, "-m", "shardmill", "predict", str(run), str(case.source)]
        return [*own, "--model", RESNET, "--csv-parts", str(out), *flags]

    return Contestant(name, command, OURS)
