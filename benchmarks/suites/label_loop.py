"""Accuracy before and after wrong labels are found and corrected.

A share of the labels of the training photos is replaced by another class at random. Then the loop
of a user is run: `train`, `label-errors`, `relabel`, `train`. The accuracy is that of other photos,
with their labels unchanged.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from benchmarks.harness.environments import program
from benchmarks.harness.rounds import Case, Contestant
from benchmarks.harness.settings import Entry
from benchmarks.inputs.real_photos import (
    SHARES,
    flipped_cases,
    split_case,
    weights_file,
    with_cache,
)
from benchmarks.suites.conversion import OURS

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.harness.settings import Setting

LOOP = "train, label-errors, relabel, train"
TEST_SHARE = 0.3
EPOCHS = 10

BEFORE = "before"
AUTOMATIC = "every suggestion accepted"
LOOKED = "each candidate looked at"
CLEAN = "without wrong labels"
FLIPPED = "flipped labels"
CANDIDATES = "candidates"
FOUND = "flipped labels among the candidates"
LEFT = "labels that differ from the original after every suggestion is accepted"


def enter(setting: Setting) -> Entry:
    """Return the loop, on photos of flowers, and of cats and dogs."""

    def command(case: Case, out: Path) -> list[str]:
        _, share = split_case(case.name)
        paths = str(case.source), str(weights_file(setting)), str(out)
        numbers = str(SHARES[share]), str(setting.scale.rounds)
        run = [sys.executable, program("shardmill_label_loop"), *paths, *numbers]
        return with_cache(setting, run)

    contestants = [Contestant(LOOP, command, OURS)]
    return Entry(contestants, flipped_cases(setting), trial_images=0, rounds=1)
