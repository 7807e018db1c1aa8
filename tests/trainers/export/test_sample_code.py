"""The example program prepares an image file exactly as `predict` does, with NumPy and Pillow."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tensorflow as tf

from records.images import ImageOptions, NormalizedImage, normalize_image
from tests.trainers.export.test_serving_input import make_files
from trainers.config import FORMAT_VERSION, Architecture, Decoder, ImageShape, RunConfig, Target
from trainers.export.formats import FORMATS, Program
from trainers.export.preprocessing import describe_preprocessing
from trainers.export.sample_code import write_program
from trainers.input.decode import decode_images
from trainers.options import TrainOptions

if TYPE_CHECKING:
    from pathlib import Path

SHAPE = ImageShape(24, 32, 3)
# A model that returns its input; a target has no file with labels.
PIXELS = Program("", (), "model = None", "pixels")


def make_config(images: ImageOptions, shape: ImageShape, decoder: Decoder = 2) -> RunConfig:
    architecture = Architecture(
        "cnn", shape, classes=1, task="regression", target=Target("age", 0.0, 1.0)
    )
    return RunConfig(FORMAT_VERSION, TrainOptions(), architecture, 0.1, images, "data", (), decoder)


def read_pixels(config: RunConfig, files: list[bytes], folder: Path) -> list[np.ndarray[Any, Any]]:
    """The pixels that the example program reads from files."""
    program = write_program(describe_preprocessing(config, None), PIXELS)
    names: dict[str, Any] = {}
    exec(compile(program, "README.md", "exec"), names)
    found = []
    for number, content in enumerate(files):
        path = folder / str(number)
        path.write_bytes(content)
        found.append(names["predict"](path))
    return found


def check_equal(
    options: dict[str, Any], shape: ImageShape, tmp_path: Path, decoder: Decoder = 2
) -> None:
    config = make_config(ImageOptions(**options), shape, decoder)
    images = config.images.for_prediction
    files = make_files()
    stored = [normalize_image(file, images) for file in files]
    encoded = [each.encoded for each in stored if isinstance(each, NormalizedImage)]
    assert len(encoded) == len(files)
    expected = decode_images(tf.constant(encoded), images, shape, decoder).numpy()
    found = read_pixels(config, files, tmp_path)
    different = [
        number
        for number, (one, other) in enumerate(zip(found, expected, strict=True))
        if one.dtype != np.uint8 or not np.array_equal(one, other)
    ]
    assert not different


@pytest.fixture(autouse=True)
def no_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["program"])


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"resize": (32, 24), "scaled_decode": True},
        {"resize": (40, 30), "scaled_decode": True, "fit": "pad", "background": "FF8000"},
        *(
            pytest.param(options, marks=pytest.mark.slow)
            for options in (
                {"resize": (70, 50), "scaled_decode": True, "fit": "crop", "store": "mixed"},
                {"channels": 1, "store": "jpeg", "jpeg_quality": 80},
                {"store": "png"},
                {"store": "jpeg"},
                {"channels": 1},
                {"resize": (32, 24)},
                {"resize": (200, 50), "fit": "crop", "store": "png"},
                {"resize": (50, 200), "fit": "pad", "channels": 1, "background": "FF8000"},
                {"resize": (20, 30), "scaled_decode": True, "store": "png", "channels": 1},
                {"resize": (130, 100), "scaled_decode": True, "store": "raw"},
                {"resize": (130, 100), "scaled_decode": True, "store": "jpeg"},
            )
        ),
    ],
)
def test_example_program_reads_same_pixels_as_predict(
    options: dict[str, Any], tmp_path: Path
) -> None:
    check_equal(options, SHAPE, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("size", [(7, 5), (96, 96), (150, 31), (224, 224)])
def test_example_program_any_size_reads_same_pixels(size: tuple[int, int], tmp_path: Path) -> None:
    check_equal({}, ImageShape(*size, 3), tmp_path)


def test_example_program_first_decoder_reads_same_pixels(tmp_path: Path) -> None:
    check_equal({}, SHAPE, tmp_path, decoder=1)


@pytest.mark.slow
def test_example_program_grey_model_reads_same_pixels(tmp_path: Path) -> None:
    check_equal({"channels": 1}, ImageShape(24, 32, 1), tmp_path)


@pytest.mark.parametrize("name", FORMATS)
def test_example_program_of_each_format_is_short_python(name: str) -> None:
    for images in (ImageOptions(), ImageOptions(resize=(32, 24), scaled_decode=True)):
        preprocessing = describe_preprocessing(make_config(images, SHAPE), None)
        program = write_program(preprocessing, FORMATS[name].program)
        compile(program, name, "exec")
        lines = program.splitlines()
        assert len(lines) < 100
        assert max(map(len, lines)) <= 100
        assert not any(line != line.rstrip() for line in lines)
