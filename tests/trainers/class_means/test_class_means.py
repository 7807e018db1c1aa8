"""Class means of a run: their measurement, their file, and their use."""

from __future__ import annotations

import base64
import json
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import keras
import msgspec
import numpy as np
import pytest
import tensorflow as tf

import shardmill as sm
from records.dataset import open_dataset
from records.errors import CorruptDataError, UsageError
from records.images import Rejection
from tests.trainers.models import custom_model
from tests.trainers.training.test_resume import run_plan
from trainers.class_means.file import encode_class_means, read_class_means
from trainers.class_means.means import ClassMeans
from trainers.class_means.measure import find_features, measure_class_means
from trainers.config import Architecture, ImageShape
from trainers.input.selection import select_for_training
from trainers.models import register_model
from trainers.models.build import build_network
from trainers.models.load import load_network
from trainers.models.registry import REGISTERED
from trainers.prediction import Predictor, find_images
from trainers.prediction.image_files import encode_image
from trainers.prediction.option_checks import check_reject_below
from trainers.runs.run_dir import open_run
from trainers.training.planning import plan_training

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from trainers.input.selection import Selection
    from trainers.models.build import Network
    from trainers.options import KeptWeights


def read_images(data: Path, selection: Selection) -> tuple[list[bytes], np.ndarray]:
    """Return the images of a selection, and their labels."""
    records = iter(open_dataset(data)[selection.split])
    chosen = [
        record
        for mask in selection.shard_masks
        for is_chosen, record in zip(mask, records, strict=False)
        if is_chosen
    ]
    return [record.image for record in chosen], np.array([record.label for record in chosen])


def unit_features(
    network: Network, predictor: Predictor, images: list[bytes]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the inputs of the last layer with the length 1, and the predicted labels."""
    prepared = [predictor.prepare(image) for image in images]
    pixels = np.stack([each for each in prepared if not isinstance(each, Rejection)])
    assert len(pixels) == len(images)
    assert network.featured is not None
    logits, features = network.featured.predict_on_batch(pixels)
    kernel, bias = network.model.get_layer("logits").get_weights()
    np.testing.assert_allclose(features @ kernel + bias, logits, atol=1e-4)
    return features / np.linalg.norm(features, axis=1, keepdims=True), logits.argmax(axis=1)


def test_run_has_the_mean_direction_of_each_class_and_auto_rejects_by_it(
    run_path: Path, shapes: Path
) -> None:
    file = json.loads((run_path / "class_means.json").read_bytes())
    means = np.frombuffer(base64.b64decode(file["means"]), "<f4").reshape(3, -1)
    training, validation = select_for_training(open_dataset(shapes), None)
    predictor = Predictor(run_path, reject_below="auto")
    assert predictor.reject_below == "auto"
    network = load_network(open_run(run_path))

    images, labels = read_images(shapes, training)
    unit, _ = unit_features(network, predictor, images)
    expected = np.stack([unit[labels == label].mean(axis=0) for label in range(3)])
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(means, expected, atol=1e-4)

    images, _ = read_images(shapes, validation)
    kept = [not each.none_of_these for each in predictor.predict(images)]
    assert np.mean(kept) >= 0.95
    random = np.random.default_rng(0)
    noise = (random.integers(0, 256, (30, 30, 3), np.uint8) for _ in range(20))
    images += map(encode_image, noise)
    unit, predicted = unit_features(network, predictor, images)
    predictions = predictor.predict(images)
    rejected = [each.none_of_these for each in predictions]
    assert rejected == ((unit * means[predicted]).sum(axis=1) < file["reject_below"]).tolist()
    assert any(rejected)
    for each in predictions:
        assert each.names == (() if each.none_of_these else (each.class_name,))


@pytest.mark.slow
def test_killed_run_is_completed_and_a_continued_run_has_no_old_class_means(
    run_path: Path, shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run"
    shutil.copytree(run_path, path)
    longer = msgspec.structs.replace(open_run(path).config.options, epochs=5)
    with monkeypatch.context() as patch:
        patch.setattr("trainers.class_means.measure.measure_class_means", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run_plan(plan_training(shapes, path, longer, resume=True))
    assert open_run(path).has_weights
    with pytest.raises(UsageError, match=r"not finished.*; resume it with .*--resume"):
        check_reject_below(open_run(path), "auto")
    run_plan(plan_training(shapes, path, longer, resume=True))
    check_reject_below(open_run(path), "auto")


def interrupt(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("weights", "changes", "removed", "expected"),
    [
        ("last", {}, None, "those of the best epoch.*; omit --weights last, or give"),
        ("best", {}, "class_means.json", "train a new run .* --reject-below 0"),
        ("best", {"model": "mine"}, "class_means.json", "last layer is Dense.* --reject-below 0"),
        ("best", {"task": "multi-label"}, None, "any number of labels.*; omit --reject-below"),
        ("best", {"task": "regression"}, None, "predicts a number.*; omit --reject-below"),
    ],
)
def test_auto_without_class_means_is_an_error_with_the_next_command(
    run_path: Path, tmp_path: Path, *,
    weights: KeptWeights, changes: dict[str, str], removed: str | None, expected: str,
) -> None:  # fmt: skip
    path = tmp_path / "run"
    shutil.copytree(run_path, path)
    if removed:
        (path / removed).unlink()
    run = open_run(path, weights)
    architecture = msgspec.structs.replace(run.config.architecture, **changes)
    run = replace(run, config=msgspec.structs.replace(run.config, architecture=architecture))
    with pytest.raises(UsageError, match=expected):
        check_reject_below(run, "auto")
    if "task" not in changes:
        check_reject_below(run, 0.5)


@pytest.mark.parametrize("shape", [(3, 5), (2, 128), (3, 128)])
def test_class_means_that_do_not_fit_the_model_are_damaged(
    run_path: Path, tmp_path: Path, shape: tuple[int, int]
) -> None:
    path = tmp_path / "run"
    shutil.copytree(run_path, path)
    directions = np.ones(shape, np.float32)
    if shape == (3, 128):
        directions[0, 0] = np.nan
    open_run(path).write("class_means.json", encode_class_means(ClassMeans(directions, 0.5)))
    run = open_run(path)
    with pytest.raises(CorruptDataError, match=r"class_means\.json: the class means do not fit"):
        read_class_means(run, load_network(run))


@pytest.fixture
def _registered() -> Iterator[None]:
    register_model("attention", custom_model.build)
    register_model("opaque", build_opaque)
    yield
    REGISTERED.clear()


@pytest.mark.usefixtures("_registered")
def test_penultimate_features_are_the_input_of_the_last_layer() -> None:
    images = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), np.uint8)
    widths = {"cnn": 128, "cnn-512": 512, "cnn-bn": 128, "attention": 4}
    for model, width in widths.items():
        network = build_network(Architecture(model, ImageShape(32, 32), classes=2))
        assert network.featured is not None
        logits, features = network.featured.predict_on_batch(images)
        assert features.shape == (4, width)
        np.testing.assert_allclose(logits, network.model.predict_on_batch(images), atol=1e-5)
    assert build_network(Architecture("opaque", ImageShape(32, 32), classes=2)).featured is None


@pytest.mark.slow
@pytest.mark.parametrize("head_units", [0, 8])
def test_features_of_a_head_are_those_of_the_network(head_units: int) -> None:
    shape = ImageShape(32, 32)
    architecture = Architecture("mobilenet", shape, classes=3, head_units=head_units)
    network = build_network(msgspec.structs.replace(architecture, head_dropout=0.5))
    images = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), np.uint8)
    of_images, of_head = (find_features(network, of_head=of_head) for of_head in (False, True))
    assert of_images is not None
    assert of_head is not None
    assert network.extractor is not None
    inputs = network.extractor.predict_on_batch(images)
    for found, expected in zip(of_head(inputs), of_images(images), strict=True):
        np.testing.assert_allclose(np.asarray(found), expected, atol=1e-5)


def build_opaque(image_shape: tuple[int, int, int], classes: int) -> keras.Model:
    class Opaque(keras.Model):  # type: ignore[misc]  # Keras is untyped here
        def __init__(self) -> None:
            super().__init__()
            self.flat, self.dense = keras.layers.Flatten(), keras.layers.Dense(classes)

        def call(self, images: object) -> object:
            return self.dense(self.flat(images))

    del image_shape
    return Opaque()


@pytest.mark.parametrize(("most_bytes", "is_kept"), [(256, True), (255, False)])
def test_class_means_larger_than_the_limit_are_left_out(
    monkeypatch: pytest.MonkeyPatch, most_bytes: int, *, is_kept: bool
) -> None:
    monkeypatch.setattr("trainers.class_means.measure._MOST_BYTES", most_bytes)
    batch = np.ones((1, 2, 8), np.float32), np.zeros((1, 2), np.int64)
    batches = tf.data.Dataset.from_tensor_slices(batch)
    found = measure_class_means(
        lambda inputs: (inputs, inputs), batches, training_images=1, classes=8, batch_size=2
    )
    assert (found is not None) == is_kept


@pytest.mark.parametrize("place", [0, 1, 2])
def test_features_that_are_not_finite_give_no_class_means(place: int) -> None:
    features = np.ones((3, 1, 4), np.float32)
    features[place, 0, 0] = np.inf
    batches = tf.data.Dataset.from_tensor_slices((features, np.zeros((3, 1), np.int64)))
    found = measure_class_means(
        lambda inputs: (inputs, inputs), batches, training_images=1, classes=4, batch_size=1
    )
    assert found is None


@pytest.mark.slow
def test_auto_keeps_flowers_and_rejects_cats_and_dogs(shared_data: Path, tmp_path: Path) -> None:
    sm.convert(shared_data / "flowers", tmp_path / "data", test=0.2, seed=1)
    sm.train(
        tmp_path / "data",
        tmp_path / "run",
        model="mobilenet_v2",
        mode="transfer",
        weights=shared_data / "mobilenet_v2.weights.h5",
        image_size=96,
        epochs=5,
        seed=1,
    )
    predictor = Predictor(tmp_path / "run", reject_below="auto")
    flowers = [record.image for record in open_dataset(tmp_path / "data")["test"]]
    kept = [not each.none_of_these for each in predictor.predict(flowers)]
    others = find_images([shared_data / "cats_and_dogs" / "validation"])
    rejected = [bool(each.none_of_these) for each in predictor.predict_files(others)]
    assert np.mean(kept) > 0.8
    assert np.mean(rejected) > 0.8
