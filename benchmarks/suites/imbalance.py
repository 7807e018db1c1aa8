"""Accuracy on unbalanced classes, with each option of `train` that may help.

Of the photos of flowers, one class keeps all of its training photos, the next one half of them, and
so on. A head is trained on MobileNetV2. The accuracy is that of other photos, with the same number
of each class, so that it is the mean of the recall of all classes.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.harness.environments import program
from benchmarks.harness.rounds import Case, Contestant
from benchmarks.harness.settings import Entry
from benchmarks.inputs.real_photos import FLOWERS, real_case, weights_file, with_cache
from benchmarks.suites.conversion import OURS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from benchmarks.harness.settings import Setting

VARIANTS: dict[str, dict[str, Any]] = {
    "no option": {},
    "--balanced": {"balanced": True},
    "--class-weights balanced": {"class_weights": "balanced"},
    "--ema 0.999": {"ema": 0.999},
    "--augment mixup": {"augment": "mixup"},
    "--augment cutmix": {"augment": "cutmix"},
    "--augment randaugment": {"augment": "randaugment"},
}
"""The options of each contestant, by name."""

MOST_IMAGES = 160
"""The number of training photos of the most frequent class; that of each next class is half."""

TEST_IMAGES = 80
EPOCHS = 10
SIDE_PX = 96

ACCURACY = "balanced accuracy"
RAREST = "recall of the rarest class"


def enter(setting: Setting) -> Entry:
    """Return a training run with each variant, on flowers."""
    contestants = [_contestant(setting, name, options) for name, options in VARIANTS.items()]
    return Entry(contestants, [real_case(setting, FLOWERS)], trial_images=0, rounds=1)


def _contestant(setting: Setting, name: str, options: dict[str, Any]) -> Contestant:
    def command(case: Case, out: Path) -> list[str]:
        paths = str(case.source), str(weights_file(setting)), str(out)
        run = [sys.executable, program("shardmill_imbalance"), *paths, json.dumps(options)]
        return with_cache(setting, [*run, str(setting.scale.rounds)])

    return Contestant(name, command, OURS)


def choose_photos(classes: Mapping[str, str], seed: int) -> list[tuple[str, str, str]]:
    """Return the photos of a seed as (key, class, split), the classes with the fewest last.

    Args:
        classes: the class of each photo by key.
        seed: the seed.
    """
    random = np.random.default_rng(seed)
    rows = []
    for place, name in enumerate(random.permutation(sorted(set(classes.values()))).tolist()):
        keys = random.permutation([key for key in classes if classes[key] == name]).tolist()
        test, train = keys[:TEST_IMAGES], keys[TEST_IMAGES:]
        rows += [(key, name, "test") for key in test]
        rows += [(key, name, "train") for key in train[: MOST_IMAGES >> place]]
    return rows
