"""Datasets of discs whose target is their area, and one run that was trained on them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image, ImageDraw

from pipelines.convert import convert
from pipelines.options import ConvertOptions
from tests.trainers.conftest import encode
from trainers.options import TrainOptions

if TYPE_CHECKING:
    from pathlib import Path

SIDE_PX = 32
OPTIONS = TrainOptions(target="area", epochs=6, batch_size=8, learning_rate=2e-3, seed=3)
UNKNOWN_EVERY = 10
"""Every image with a number that this divides has no target."""


def draw_disc(number: int) -> tuple[Image.Image, float]:
    """A dark disc of any size on a light background, and its area, with an offset of 1,000."""
    random = np.random.default_rng(number)
    image = Image.new("RGB", (SIDE_PX, SIDE_PX), tuple(random.integers(170, 256, 3).tolist()))
    radius = float(random.uniform(2, 14))
    x, y = random.uniform(radius, SIDE_PX - radius, 2).tolist()
    box = (x - radius, y - radius, x + radius, y + radius)
    ImageDraw.Draw(image).ellipse(box, fill=tuple(random.integers(0, 90, 3).tolist()))
    return image, round(1000 + math.pi * radius**2, 2)


def make_dataset(folder: Path, images: int, *, first: int = 0, **options: object) -> Path:
    """Draw and convert images; the path of the dataset."""
    (folder / "photos").mkdir(parents=True)
    rows = ["path,area"]
    for number in range(first, first + images):
        image, area = draw_disc(number)
        key = f"{number:05}.png"
        (folder / "photos" / key).write_bytes(encode(image, "PNG"))
        rows.append(f"{key},{'' if number % UNKNOWN_EVERY == 0 else area}")
    (folder / "list.csv").write_text("\n".join(rows) + "\n")
    convert(
        ConvertOptions(
            source=str(folder / "photos"),
            output=str(folder / "data"),
            list=str(folder / "list.csv"),
            target_column="area",
            **options,  # type: ignore[arg-type]
        )
    )
    return folder / "data"


def known(records: object) -> dict[str, float]:
    """The known targets of records by their keys."""
    found = {record.key: record.columns["area"] for record in records}  # type: ignore[attr-defined]
    return {key: area for key, area in found.items() if not math.isnan(area)}


@pytest.fixture(scope="session")
def discs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of 300 images of 32 × 32 pixels, 60 of them to test on. Not to be written to."""
    return make_dataset(tmp_path_factory.mktemp("discs"), 300, test=60, shards=3)


@pytest.fixture(scope="session")
def discs_run(discs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run trained on the images. Not to be written to."""
    from trainers.training.plan import plan_training
    from trainers.training.train import train

    folder: Path = tmp_path_factory.mktemp("discs-run") / "run"
    train(plan_training(discs, folder, OPTIONS))
    return folder
