"""Emulated accelerators of MLPerf Storage's ResNet-50 that a machine keeps busy.

The dataset has 1,251 images per file. In the first case, an image has 114,660 bytes, which are
196×195 raw pixels, and is not decoded. In the second case, the images are JPEG photos, which are
decoded.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from benchmarks.harness.environments import program
from benchmarks.harness.rounds import Case, Contestant
from benchmarks.harness.settings import Entry, Setting
from benchmarks.inputs.datasets import converted
from benchmarks.inputs.pictures import photos
from benchmarks.suites.conversion import OURS

if TYPE_CHECKING:
    from pathlib import Path

BATCH_SIZE = 400
STEP_SECONDS = 0.224
"""Time that an accelerator takes for a batch."""

IMAGES_PER_FILE = 1251
RAW = "114,660 bytes per image, not decoded"
JPEG = "JPEG photos, decoded"
READERS = {"as_tf_dataset": "shardmill_accelerators", "tf.data, as DLIO": "tf_data_accelerators"}
_FORMS = {RAW: ("--resize", "196x195", "--store", "raw"), JPEG: ()}


def busy_figure(accelerators: int) -> str:
    """Return the name of a figure: the share of time that this many accelerators are busy."""
    return f"busy, {accelerators}"


def enter(setting: Setting) -> Entry:
    """Return both readers, without a trial, which would have fewer images than a batch."""
    contestants = [_contestant(setting, name, reader) for name, reader in READERS.items()]
    images = setting.scale.accelerator_files * IMAGES_PER_FILE
    case = photos(setting.data, setting.cache, images)
    return Entry(contestants, [replace(case, name=name) for name in _FORMS], trial_images=0)


def _contestant(setting: Setting, name: str, reader: str) -> Contestant:
    def command(case: Case, _: Path) -> list[str]:
        files = str(setting.scale.accelerator_files)
        dataset = converted(setting, case, *_FORMS[case.name], "--shards", files)
        steps = str(setting.scale.accelerator_steps)
        return [sys.executable, program(reader), str(dataset), steps]

    return Contestant(name, command, OURS)
