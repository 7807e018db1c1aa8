"""Datasets of images with any of three shapes, and one run that was trained on them."""

from __future__ import annotations

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

NAMES = ("blue triangle", "green square", "red disc")
COLORS = ((50, 80, 230), (40, 190, 60), (220, 40, 40))
SIDE_PX = 32
OPTIONS = TrainOptions(epochs=4, batch_size=8, learning_rate=2e-3, seed=3)


def draw_shapes(number: int) -> tuple[Image.Image, tuple[int, ...]]:
    """An image with none to three shapes, which do not hide each other, and their labels."""
    random = np.random.default_rng(number)
    image = Image.new("RGB", (SIDE_PX, SIDE_PX), tuple(random.integers(130, 256, 3).tolist()))
    draw = ImageDraw.Draw(image)
    labels = tuple(label for label in range(3) if random.random() < 0.5)
    # Three of the four quarters of the image.
    places = random.permutation(4)
    for label in labels:
        row, column = divmod(int(places[label]), 2)
        left, top = (16 * place + int(random.integers(0, 5)) for place in (column, row))
        box = (left, top, left + 10, top + 10)
        if label == 0:
            corners = [(left, top + 10), (left + 5, top), (left + 10, top + 10)]
            draw.polygon(corners, fill=COLORS[label])
        elif label == 1:
            draw.rectangle(box, fill=COLORS[label])
        else:
            draw.ellipse(box, fill=COLORS[label])
    return image, labels


def make_dataset(folder: Path, images: int, *, first: int = 0, **options: object) -> Path:
    """Draw and convert images; the path of the dataset."""
    (folder / "photos").mkdir(parents=True)
    rows = ["path,tags"]
    for number in range(first, first + images):
        image, labels = draw_shapes(number)
        key = f"{number:05}.png"
        (folder / "photos" / key).write_bytes(encode(image, "PNG"))
        rows.append(f"{key},{'|'.join(NAMES[label] for label in labels)}")
    (folder / "list.csv").write_text("\n".join(rows) + "\n")
    convert(
        ConvertOptions(
            source=str(folder / "photos"),
            output=str(folder / "data"),
            list=str(folder / "list.csv"),
            label_separator="|",
            **options,  # type: ignore[arg-type]
        )
    )
    return folder / "data"


@pytest.fixture(scope="session")
def marked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of 300 images of 32 × 32 pixels, 60 of them to test on. Not to be written to."""
    return make_dataset(tmp_path_factory.mktemp("marked"), 300, test=60, shards=3)


@pytest.fixture(scope="session")
def marked_run(marked: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run trained on the images. Not to be written to."""
    from trainers.training.plan import plan_training
    from trainers.training.train import train

    folder: Path = tmp_path_factory.mktemp("marked-run") / "run"
    train(plan_training(marked, folder, OPTIONS))
    return folder
