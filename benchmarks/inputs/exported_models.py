"""MobileNetV2 trained on flowers, its exports, and the test images as arrays."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from benchmarks.harness.environments import program
from benchmarks.inputs.datasets import converted, make_once
from benchmarks.inputs.real_photos import BACKBONE, FLOWERS, real_case, weights_file, with_cache

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.harness.settings import Setting

_SIDE_PX = 224
_EPOCHS = 10


def flowers(setting: Setting) -> Path:
    """Return the dataset of flowers, with a fifth of the photos in the split `test`."""
    return converted(setting, real_case(setting, FLOWERS), "--test", "0.2")


def exported(setting: Setting, name: str, *options: str) -> Path:
    """Return an export of the model, written once per run.

    Args:
        setting: the folders of the run.
        name: the name of the format.
        *options: further options of `export`.
    """
    target = setting.derived / "-".join(["export", name, *options[:1]])
    command = [sys.executable, "-m", "shardmill", "export", str(_trained(setting)), str(target)]
    return make_once(target, [*command, "--format", name, *options])


def test_pixels(setting: Setting) -> Path:
    """Return a folder with the decoded test images and their labels: images.npy, labels.npy."""
    target = setting.derived / "test-pixels"
    paths = str(flowers(setting)), str(target), str(_SIDE_PX)
    return make_once(target, [sys.executable, program("shardmill_pixels"), *paths])


def _trained(setting: Setting) -> Path:
    target = setting.derived / "flowers-run"
    command = [sys.executable, "-m", "shardmill", "train", str(flowers(setting)), str(target)]
    model = ("--model", BACKBONE, "--weights", str(weights_file(setting)), "--mode", "transfer")
    sizes = ("--image-size", str(_SIDE_PX), "--epochs", str(_EPOCHS), "--quiet")
    return make_once(target, with_cache(setting, [*command, *model, *sizes]))
