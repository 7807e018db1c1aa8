"""The picture that shows what augmentation does."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from records.dataset import open_dataset
from records.errors import UsageError
from records.images import ImageOptions
from trainers.augment.spec import parse_augmentation
from trainers.config import Architecture, ImageShape, RunConfig
from trainers.input.selection import select_for_training
from trainers.options import TrainOptions
from trainers.plots.augment_preview import (
    VARIANTS,
    draw_variants,
    make_variants,
    preview_augmentation,
)

if TYPE_CHECKING:
    from pathlib import Path


def configure(words: str, shape: ImageShape) -> RunConfig:
    return RunConfig(
        format_version=2,
        options=TrainOptions(augment=parse_augmentation(words)),
        architecture=Architecture("cnn", shape, classes=3),
        learning_rate=1e-3,
        images=ImageOptions(),
        dataset="data",
        plan_digests=(),
    )


@pytest.mark.parametrize(
    "words", ["crop", "flip,rotate=45", "crop=0.5,brightness=0.4", "trivialaugment,erase=1"]
)
@pytest.mark.parametrize("channels", [1, 3])
def test_make_variants_original_comes_first_and_variants_differ(
    shapes: Path, words: str, channels: int
) -> None:
    shape = ImageShape(24, 32, channels)  # type: ignore[arg-type]
    record = open_dataset(shapes)["train"][0]
    forms = make_variants(record, configure(words, shape))
    assert forms.shape == (1 + VARIANTS, *shape.array_shape)
    np.testing.assert_array_equal(forms[0], make_variants(record, configure("flip", shape))[0])
    assert len({form.tobytes() for form in forms}) == 1 + VARIANTS
    np.testing.assert_array_equal(forms, make_variants(record, configure(words, shape)))


def test_preview_augmentation_shows_first_training_record(shapes: Path) -> None:
    dataset = open_dataset(shapes)
    training, _ = select_for_training(dataset, None)
    assert training.mask is not None
    first = int(np.flatnonzero(np.concatenate(training.mask))[0])
    config = configure("flip,zoom=0.2", ImageShape(24, 32))
    content = preview_augmentation(dataset, training, config)
    record = dataset["train"][first]
    title = f"{record.class_name}, flip=horizontal,zoom=0.2"
    assert content == draw_variants(make_variants(record, config), title)
    picture = Image.open(io.BytesIO(content))
    assert picture.format == "PNG"
    assert picture.width > 5 * picture.height > 500


def test_draw_variants_any_name_and_shape_is_drawn() -> None:
    for shape in ((6, 3, 400, 3), (6, 400, 3, 1), (6, 1, 1, 1)):
        content = draw_variants(np.zeros(shape, np.uint8), "$x_{ b$ 雛菊 \x1b[31m")
        assert Image.open(io.BytesIO(content)).width < 1500


def test_preview_augmentation_without_augmentation_is_refused(shapes: Path) -> None:
    dataset = open_dataset(shapes)
    training, _ = select_for_training(dataset, None)
    with pytest.raises(UsageError, match="no augmentation to preview; add --augment"):
        preview_augmentation(dataset, training, configure("none", ImageShape(24, 32)))


def test_preview_augmentation_of_mixed_images_shows_other_images(shapes: Path) -> None:
    dataset = open_dataset(shapes)
    training, _ = select_for_training(dataset, None)
    config = configure("mixup=1,cutmix", ImageShape(24, 32))
    records = [dataset["train"][number] for number in range(6)]
    forms = make_variants(records[0], config, records[1:])
    assert forms.shape == (1 + VARIANTS, 24, 32, 3)
    assert len({form.tobytes() for form in forms}) > 3
    content = preview_augmentation(dataset, training, config)
    assert Image.open(io.BytesIO(content)).format == "PNG"
