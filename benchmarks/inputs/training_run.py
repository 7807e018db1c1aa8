"""Training runs of ResNet-18 and MobileNetV2, with hardly any training."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from benchmarks.inputs.datasets import converted, make_once
from benchmarks.inputs.pictures import photos

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.harness.settings import Setting

RESNET = "benchmarks.inputs.resnet18:build"
_PHOTOS = 32
_OPTIONS = ("--image-size", "224", "--steps", "1", "--quiet")


def trained(setting: Setting) -> Path:
    """Return a run of ResNet-18 with images of 224×224 pixels, trained on one batch.

    The values of the weights do not change the speed of predictions.
    """
    return _train(setting, "resnet18", "--model", RESNET, "--batch-size", "8")


def trained_mobilenet(setting: Setting) -> Path:
    """Return a run of MobileNetV2 with images of 224×224 pixels, trained on one batch."""
    return _train(setting, "mobilenet", "--model", "mobilenet_v2", "--weights", "none")


def _train(setting: Setting, name: str, *options: str) -> Path:
    dataset = converted(setting, photos(setting.data, setting.cache, _PHOTOS))
    target = setting.derived / name
    command = [sys.executable, "-m", "shardmill", "train", str(dataset), str(target)]
    return make_once(target, [*command, *_OPTIONS, *options])
