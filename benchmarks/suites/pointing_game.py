"""The pointing game: whether class activation maps point to the object.

J. Zhang and others, Top-down Neural Attention by Excitation Backprop (2016): a map is right if its
highest place is in the object. Here, the object is the patterned square of a generated image, whose
place is known. The share of the map in the object also counts the other places of the map.

The method of `predict --explain`, HiResCAM, is compared with Grad-CAM, with the centre of each
image, and with a random place.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from benchmarks.harness.environments import program
from benchmarks.harness.rounds import Case, Contestant
from benchmarks.harness.settings import Entry
from benchmarks.inputs.patterns import SIDE_PX
from benchmarks.inputs.real_photos import BACKBONE, weights_file, with_cache
from benchmarks.suites.conversion import OURS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from numpy.typing import NDArray

    from benchmarks.harness.settings import Setting
    from benchmarks.inputs.patterns import Box

PATTERNED = "generated images"
TRAINING_IMAGES = 2000
TEST_IMAGES = 200
EPOCHS = 15
SIZES_PX = {"cnn": 64, "cnn-512": 64, "cnn-bn": 64, BACKBONE: SIDE_PX}
"""The input size of each model."""

ACCURACY = "accuracy"
HIRES_CAM = "HiResCAM"
GRAD_CAM = "Grad-CAM"
CENTER = "centre of the image"
AREA = "random place"
INSIDE = "share of the map in the object"


class Judgement(NamedTuple):
    """The share of maps that point to their object, and the mean share of a map in its object."""

    points: float
    inside: float


def enter(setting: Setting) -> Entry:
    """Return all small networks, and the backbone with ImageNet weights."""

    def contestant(model: str) -> Contestant:
        def command(_: Case, out: Path) -> list[str]:
            weights = [str(weights_file(setting))] if model == BACKBONE else []
            numbers = str(SIZES_PX[model]), str(setting.scale.rounds)
            run = [sys.executable, program("shardmill_pointing_game"), model, *numbers, str(out)]
            return with_cache(setting, [*run, *weights])

        return Contestant(model, command, OURS)

    case = Case(PATTERNED, Path(PATTERNED), TEST_IMAGES, TEST_IMAGES * SIDE_PX**2 * 3)
    return Entry([contestant(model) for model in SIZES_PX], [case], trial_images=0, rounds=1)


def judge(maps: Iterable[NDArray[Any]], boxes: Sequence[Box]) -> Judgement:
    """Compare class activation maps, (height, width) each, with the squares of their images."""
    points, inside = [], []
    for activation, box in zip(maps, boxes, strict=True):
        mask, total = box.mask(*activation.shape), float(activation.sum())
        highest = np.unravel_index(activation.argmax(), activation.shape)
        points.append(total > 0 and bool(mask[highest]))
        inside.append(float(activation[mask].sum()) / total if total > 0 else 0.0)
    return Judgement(float(np.mean(points)), float(np.mean(inside)))
