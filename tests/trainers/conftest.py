"""A small dataset of coloured shapes that a model can learn, and one trained run for all tests."""

from __future__ import annotations

import importlib
import io
import signal
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image, ImageDraw

from records.images import ImageOptions
from records.storage import open_storage
from tests.datasets import DatasetBuilder, Source
from trainers.options import TrainOptions

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from records.format.layout import SplitName

# matplotlib would take the last one for a broken formula.
LABELS = ("disc", "square", "$x_{ b$")
COLORS = ((220, 40, 40), (40, 190, 60), (50, 80, 230))
RUN_OPTIONS = TrainOptions(epochs=4, batch_size=8, image_size=(24, 32), learning_rate=3e-3, seed=3)


def draw_shape(number: int) -> Image.Image:
    """Shape `number`, of class `number % 3`, of its own size, place and colours."""
    random = np.random.default_rng(number)
    width_px, height_px = (int(side) for side in random.integers(28, 44, 2))
    image = Image.new("RGB", (width_px, height_px), tuple(random.integers(180, 256, 3).tolist()))
    label = number % len(LABELS)
    left, top = (int(place) for place in random.integers(2, 8, 2))
    box = (left, top, left + 18, top + 18)
    draw = ImageDraw.Draw(image)
    if label == 0:
        draw.ellipse(box, fill=COLORS[label])
    elif label == 1:
        draw.rectangle(box, fill=COLORS[label])
    else:
        draw.polygon([(left, top + 18), (left + 9, top), (left + 18, top + 18)], COLORS[label])
    return image


def encode(image: Image.Image, kind: str) -> bytes:
    """The bytes of an image file."""
    content = io.BytesIO()
    image.save(content, kind, **({"quality": 92} if kind == "JPEG" else {}))
    return content.getvalue()


def make_source(number: int) -> Source:
    """Shape `number` as a file: every fourth a PNG, the others JPEG."""
    kind = "PNG" if number % 4 == 3 else "JPEG"
    label = number % len(LABELS)
    key = f"{LABELS[label]}/{number:04}.{kind.lower()}".encode()
    return Source(key, label, encode(draw_shape(number), kind))


def write_shapes(
    location: Path | str,
    splits: Mapping[SplitName, Sequence[Sequence[int]]],
    images: ImageOptions | None = None,
    replaced: Mapping[bytes, bytes] | None = None,
) -> None:
    """Write a dataset of shapes: for every split the numbers of the shapes in each shard.

    The files in `replaced`, by key, are stored instead of shapes, without any check.
    """
    builder = DatasetBuilder(
        open_storage(location), LABELS, images or ImageOptions(), replaced=replaced or {}
    )
    builder.build(
        {
            split: [[make_source(number) for number in shard] for shard in shards]
            for split, shards in splits.items()
        }
    )


@pytest.fixture
def hears_ctrl_c() -> Iterator[None]:
    """As in a terminal; what a shell starts in the background is deaf to it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def refuse_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail the test if anything starts the Keras backend."""
    # trainers.backend last: a module that is imported while it is patched would keep the patch.
    importers = (
        "evaluation.evaluate", "export.export", "models.registry", "prediction.predictor",
        "training.train", "backend",
    )  # fmt: skip
    for module in importers:
        monkeypatch.setattr(
            importlib.import_module(f"trainers.{module}"),
            "start_backend",
            lambda: pytest.fail("the backend was started"),
        )


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of 150 shapes to train on in three shards, and 60 to test on in two."""
    folder: Path = tmp_path_factory.mktemp("shapes") / "data"
    write_shapes(
        folder,
        {
            "train": [range(50), range(50, 90), range(90, 150)],
            "test": [range(150, 180), range(180, 210)],
        },
    )
    return folder


@pytest.fixture(scope="session")
def run_path(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run trained on the shapes. Not to be written to."""
    from trainers.training.planning import plan_training
    from trainers.training.train import train

    folder: Path = tmp_path_factory.mktemp("trained") / "run"
    plan = plan_training(shapes, folder, RUN_OPTIONS)
    train(plan)
    return folder
