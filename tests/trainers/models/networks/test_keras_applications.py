"""Tests of preprocessing and head of Keras applications."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any
from unittest import mock

import numpy as np
import pytest

from trainers.config import Architecture, ImageShape
from trainers.models import MODELS
from trainers.models.build import Network, build_network

if TYPE_CHECKING:
    from pathlib import Path

SMALL = "mobilenet_v3_small"
APPLICATIONS = [name for name, spec in MODELS.items() if spec.has_backbone]
# One of each module in keras.applications; what EfficientNet does differently has its own test.
FAMILIES = {str(MODELS[name].application).partition(".")[0]: name for name in APPLICATIONS}
PLAIN_FAMILIES = {family: name for family, name in FAMILIES.items() if family != "efficientnet"}
IMAGES = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)


def build(name: str = SMALL, side_px: int = 32, **other: Any) -> Network:
    return build_network(Architecture(name, ImageShape(side_px, side_px), 5, **other))


def build_preprocessing(name: str) -> Any:
    import keras

    from trainers.models.networks.keras_applications import preprocess

    image = keras.Input((32, 32, 3), dtype="uint8")
    return keras.Model(image, preprocess(image, name))


@pytest.fixture(scope="module")
def network() -> Network:
    return build(head_units=7, head_dropout=0.5)


@pytest.mark.parametrize(("family", "name"), PLAIN_FAMILIES.items())
def test_preprocess_each_family_equals_keras_preprocess_input(family: str, name: str) -> None:
    by_keras = importlib.import_module(f"keras.applications.{family}").preprocess_input
    np.testing.assert_allclose(
        np.asarray(build_preprocessing(name)(IMAGES)),
        by_keras(IMAGES.astype(np.float32)),
        rtol=1e-5,
        atol=1e-5,
    )


@pytest.mark.parametrize("name", ["vgg16", "mobilenet_v2", "densenet121", "efficientnet_b0"])
def test_preprocess_saved_model_loads_without_custom_objects(name: str, tmp_path: Path) -> None:
    import keras

    model = build_preprocessing(name)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_array_equal(np.asarray(loaded(IMAGES)), np.asarray(model(IMAGES)))


def test_preprocess_efficientnet_gives_imagenet_normalization() -> None:
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    # The base does this to its input, with the weights of ImageNet.
    seen = np.asarray(build_preprocessing("efficientnet_b0")(IMAGES)) / 255
    np.testing.assert_allclose(
        (seen - mean) / np.sqrt(deviation), (IMAGES / 255 - mean) / deviation, atol=1e-5
    )


@pytest.mark.slow
def test_preprocess_efficientnet_gives_stem_same_input_as_imagenet_weights() -> None:
    import keras

    ours = build("efficientnet_b0").backbone
    assert ours is not None
    with (
        mock.patch("keras.src.applications.efficientnet.file_utils.get_file"),
        mock.patch("keras.Model.load_weights") as loading,
    ):
        theirs = keras.applications.EfficientNetB0(
            include_top=False, weights="imagenet", input_shape=(32, 32, 3)
        )
    assert loading.called
    theirs = keras.Model(theirs.input, theirs.get_layer("stem_conv_pad").output)
    ours = keras.Model(ours.input, ours.get_layer("stem_conv_pad").output)
    # What the published weights hold, the deviation as the variance.
    statistics = [np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225]), np.array(0)]
    for stem in (ours, theirs):
        stem.set_weights(statistics)
        stem.layers[2].finalize_state()
    np.testing.assert_allclose(
        np.asarray(ours(build_preprocessing("efficientnet_b0")(IMAGES))),
        np.asarray(theirs(IMAGES.astype(np.float32))),
        atol=1e-5,
    )


def test_network_model_equals_head_applied_to_extractor(network: Network) -> None:
    assert network.extractor is not None
    assert network.head is not None
    features = network.extractor(IMAGES)
    assert features.shape == (3, 576)
    np.testing.assert_array_equal(
        np.asarray(network.head(features)), np.asarray(network.model(IMAGES))
    )
    assert network.model.input.dtype == "uint8"


def test_network_base_and_head_hold_all_model_weights(network: Network) -> None:
    assert network.backbone is not None
    assert network.head is not None
    parts = {id(weight) for part in (network.backbone, network.head) for weight in part.weights}
    assert parts == {id(weight) for weight in network.model.weights}
    assert [type(layer).__name__ for layer in network.head.layers[1:]] == [
        "Dense", "Dropout", "Dense",
    ]  # fmt: skip
    assert network.head.layers[1].units == 7
    assert network.head.layers[1].activation.__name__ == "relu"


@pytest.mark.parametrize(("pooling", "features"), [("max", 576), ("flatten", 2304)])
def test_network_pooling_option_sets_feature_count(pooling: str, features: int) -> None:
    network = build(side_px=64, pooling=pooling)
    assert network.extractor is not None
    assert network.extractor.output.shape == (None, features)
    assert network.head is not None
    assert [layer.name for layer in network.head.layers[1:]] == ["logits"]


def test_network_l2_penalizes_only_head_kernels() -> None:
    network = build(head_units=7, l2=0.01)
    assert network.head is not None
    kernels = [weight for weight in network.head.weights if weight.name == "kernel"]
    assert len(kernels) == 2
    expected = 0.01 * sum(float(np.square(np.asarray(kernel)).sum()) for kernel in kernels)
    assert float(sum(network.model.losses)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_network_mixed_precision_outputs_float32(policy: str) -> None:
    import keras

    keras.config.set_dtype_policy(policy)
    try:
        network = build(head_units=7)
        assert network.extractor is not None
        assert network.backbone is not None
        outputs = [part(IMAGES) for part in (network.model, network.extractor)]
    finally:
        keras.config.set_dtype_policy("float32")
    kinds = [keras.backend.standardize_dtype(output.dtype) for output in outputs]
    assert kinds == ["float32", "float32"]
    assert network.backbone.layers[-1].compute_dtype == policy.removeprefix("mixed_")
    assert all(np.isfinite(np.asarray(output)).all() for output in outputs)


def test_network_rebuilt_from_config_gives_same_logits(network: Network) -> None:
    import keras

    copy = keras.Model.from_config(network.model.get_config())
    copy.set_weights(network.model.get_weights())
    np.testing.assert_allclose(
        np.asarray(copy(IMAGES)), np.asarray(network.model(IMAGES)), rtol=1e-5
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", APPLICATIONS)
def test_network_every_application_builds_at_minimum_size(name: str) -> None:
    side_px = MODELS[name].min_side_px
    network = build_network(Architecture(name, ImageShape(side_px, side_px + 5), 2))
    assert network.model.output.shape == (None, 2)
