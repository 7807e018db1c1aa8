"""A run keeps the version of the decoder with which it was trained, wherever it is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest
import tensorflow as tf

from records.dataset import open_dataset
from records.images import ImageOptions
from tests.trainers.conftest import LABELS, write_shapes
from trainers.config import (
    DECODER,
    FORMAT_VERSION,
    Architecture,
    Decoder,
    ImageShape,
    RunConfig,
    encode_config,
)
from trainers.evaluation.evaluate import plan_evaluation, score_batches
from trainers.export.saved_model import write
from trainers.input.decode import decode_images
from trainers.models.build import build_network
from trainers.models.weights_file import encode_weights
from trainers.options import TrainOptions
from trainers.prediction.predictor import Predictor
from trainers.runs.create import create_run
from trainers.runs.run_dir import CONFIG, WEIGHTS
from trainers.training.planning import plan_training

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SHAPE = ImageShape(8, 10)  # the shapes are three to five times as large
OPTIONS = TrainOptions(image_size=(8, 10), batch_size=4)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_shapes(folder, {"train": [range(9)], "test": [range(9, 15)], "validation": [[15]]})
    return folder


@pytest.fixture(params=[1, 2])
def decoder(request: pytest.FixtureRequest) -> Decoder:
    version: Decoder = request.param
    return version


def decode(images: list[bytes], decoder: int) -> NDArray[np.uint8]:
    pixels: NDArray[np.uint8] = decode_images(
        tf.constant(images), ImageOptions(), SHAPE, decoder
    ).numpy()
    return pixels


def test_versions_differ_for_these_images(data: Path) -> None:
    images = [record.image for record in open_dataset(data)["test"]]
    assert (decode(images, 1) != decode(images, 2)).any(axis=(1, 2, 3)).all()


def test_run_is_used_with_the_decoder_of_its_training(
    data: Path, tmp_path: Path, decoder: Decoder
) -> None:
    architecture = Architecture("cnn", SHAPE, classes=3)
    config = RunConfig(
        FORMAT_VERSION, OPTIONS, architecture, 1e-3, ImageOptions(), str(data), (), decoder
    )
    run = create_run(tmp_path / "run", config, LABELS)
    model = build_network(architecture).model
    run.write(WEIGHTS, encode_weights(model))
    images = [record.image for record in open_dataset(data)["test"]]
    pixels = decode(images, decoder)
    expected = tf.nn.softmax(model.predict(pixels, verbose=0)).numpy()

    predictions = Predictor(run).predict(images, top_k=3)
    np.testing.assert_array_equal([each.pixels for each in predictions], pixels)

    batches = score_batches(plan_evaluation(run, data, "test"), model)
    logits = np.concatenate([logits for logits, *_ in batches])
    np.testing.assert_allclose(tf.nn.softmax(logits), expected, atol=1e-5)

    write(model, run, tmp_path / "exported")
    serve = tf.saved_model.load(str(tmp_path / "exported")).signatures["serving_default"]
    scores = serve(image=tf.constant(images))["scores"]
    np.testing.assert_allclose(scores, -np.sort(-expected), atol=1e-5)


def test_new_run_has_the_current_decoder_and_resumed_run_its_own(
    data: Path, tmp_path: Path, decoder: Decoder
) -> None:
    plan = plan_training(data, tmp_path / "run", OPTIONS)
    assert plan.config.decoder == DECODER
    run = create_run(tmp_path / "run", plan.config, LABELS)
    run.write(CONFIG, encode_config(msgspec.structs.replace(plan.config, decoder=decoder)))
    assert plan_training(data, tmp_path / "run", OPTIONS, resume=True).config.decoder == decoder
