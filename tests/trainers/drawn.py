"""Drawn images with several labels or a number each, and their fixtures.

The conftest of a folder imports the fixtures, and defines the fixture `drawn`.
"""

from __future__ import annotations

import math
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

import shardmill
from tests.trainers.conftest import encode
from trainers.options import TrainOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from records.dataset import Record

NAMES = ("blue triangle", "green square", "red disc")
COLORS = ((50, 80, 230), (40, 190, 60), (220, 40, 40))
SIDE_PX = 32
UNKNOWN_EVERY = 10
"""Every disc with a number that this divides has no target."""


def convert_list(
    folder: Path,
    columns: str,
    images: Iterable[tuple[Image.Image, str]],
    *,
    first: int = 0,
    **options: Any,
) -> Path:
    """Convert images with a list of their cells; the path of the dataset."""
    (folder / "photos").mkdir(parents=True)
    rows = [f"path,{columns}"]
    for number, (image, cells) in enumerate(images, first):
        key = f"{number:05}.png"
        (folder / "photos" / key).write_bytes(encode(image, "PNG"))
        rows.append(f"{key},{cells}")
    (folder / "list.csv").write_text("\n".join(rows) + "\n")
    shardmill.convert(folder / "photos", folder / "data", list=folder / "list.csv", **options)
    return folder / "data"


def known(records: Iterable[Record]) -> dict[str, Any]:
    """The known areas of discs by the keys of their records."""
    found = {record.key: record.columns["area"] for record in records}
    return {key: area for key, area in found.items() if not math.isnan(float(area))}


@dataclass(frozen=True)
class Drawn:
    """A kind of image to draw.

    Args:
        column: the column of the list.
        draw: draws the image with a number; returns it, and its truth.
        cell: the cell of an image with this number and this truth.
        converted: the options of `convert`.
        options: the options of the run.
    """

    column: str
    draw: Callable[[int], tuple[Image.Image, Any]]
    cell: Callable[[int, Any], str]
    converted: dict[str, str]
    options: TrainOptions

    def make_dataset(self, folder: Path, images: int, *, first: int = 0, **options: Any) -> Path:
        """Draw and convert images; the path of the dataset."""
        numbers = range(first, first + images)
        drawn = ((number, *self.draw(number)) for number in numbers)
        rows = ((image, self.cell(number, truth)) for number, image, truth in drawn)
        return convert_list(folder, self.column, rows, first=first, **self.converted, **options)


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


def draw_disc(number: int) -> tuple[Image.Image, float]:
    """A dark disc of any size on a light background, and its area, with an offset of 1,000."""
    random = np.random.default_rng(number)
    image = Image.new("RGB", (SIDE_PX, SIDE_PX), tuple(random.integers(170, 256, 3).tolist()))
    radius = float(random.uniform(2, 14))
    x, y = random.uniform(radius, SIDE_PX - radius, 2).tolist()
    box = (x - radius, y - radius, x + radius, y + radius)
    ImageDraw.Draw(image).ellipse(box, fill=tuple(random.integers(0, 90, 3).tolist()))
    return image, round(1000 + math.pi * radius**2, 2)


SHAPES = Drawn(
    "tags",
    draw_shapes,
    lambda _, labels: "|".join(NAMES[label] for label in labels),
    {"label_separator": "|"},
    TrainOptions(epochs=4, batch_size=8, learning_rate=2e-3, seed=3),
)
DISCS = Drawn(
    "area",
    draw_disc,
    lambda number, area: "" if number % UNKNOWN_EVERY == 0 else str(area),
    {"target_column": "area"},
    TrainOptions(target="area", epochs=6, batch_size=8, learning_rate=2e-3, seed=3),
)


@pytest.fixture(scope="session")
def drawn_data(drawn: Drawn, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of 300 images of 32 × 32 pixels, 60 of them to test on. Not to be written to."""
    return drawn.make_dataset(tmp_path_factory.mktemp("drawn"), 300, test=60, shards=3)


@pytest.fixture(scope="session")
def drawn_run(drawn: Drawn, drawn_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run trained on the images. Not to be written to."""
    from trainers.training.planning import plan_training
    from trainers.training.train import train

    folder: Path = tmp_path_factory.mktemp("drawn-run") / "run"
    train(plan_training(drawn_data, folder, drawn.options))
    return folder


@pytest.fixture
def run(drawn_run: Path, tmp_path: Path) -> Path:
    """A copy of the run, to write to."""
    shutil.copytree(drawn_run, tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture(scope="session")
def few(drawn: Drawn, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of 48 images, 12 of them to validate on. Not to be written to."""
    return drawn.make_dataset(tmp_path_factory.mktemp("few"), 48, validation=12, shards=2)


FILES = range(9000, 9012)


@pytest.fixture(scope="session")
def new(drawn: Drawn, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of images on which the run did not train, and a file that is no image."""
    folder: Path = tmp_path_factory.mktemp("new")
    for number in FILES:
        (folder / f"{number}.png").write_bytes(encode(drawn.draw(number)[0], "PNG"))
    (folder / "notes.png").write_text("no image")
    return folder


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder of caches."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
