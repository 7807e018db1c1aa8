"""Planning of a conversion of ten million images without files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.harness.environments import program
from benchmarks.harness.rounds import Case, Contestant
from benchmarks.harness.settings import Entry
from benchmarks.suites.conversion import OURS

if TYPE_CHECKING:
    from benchmarks.harness.settings import Setting

PLAN = "plan, and write it"
MADE_UP = "made-up"


def enter(setting: Setting) -> Entry:
    """Return planning without listing, because the cost of listing depends on the storage."""

    def plan(case: Case, out: Path) -> list[str]:
        return [sys.executable, program("shardmill_large_plan"), str(case.images), str(out)]

    images = setting.scale.made_up_images
    return Entry([Contestant(PLAN, plan, OURS)], [Case(MADE_UP, Path(MADE_UP), images, 0)])
