"""The convolutional networks are what they are documented as."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from trainers.config import Architecture, ImageShape
from trainers.models import MODELS
from trainers.models.build import build_network

if TYPE_CHECKING:
    import keras

CNNS = [name for name, spec in MODELS.items() if not spec.has_backbone]


def build(
    name: str, side_px: int, channels: int = 3, classes: int = 5, **other: Any
) -> keras.Model:
    shape = ImageShape(side_px, side_px, channels)  # type: ignore[arg-type]
    return build_network(Architecture(name, shape, classes, **other)).model


def kinds(model: keras.Model) -> list[str]:
    return [type(layer).__name__ for layer in model.layers]


def of_kind(model: keras.Model, kind: str) -> list[Any]:
    return [layer for layer in model.layers if type(layer).__name__ == kind]


def test_cnn_has_three_blocks_and_two_dense_layers() -> None:
    model = build("cnn", 180)
    assert kinds(model) == [
        "InputLayer", "Rescaling", "Conv2D", "MaxPooling2D", "Conv2D", "MaxPooling2D", "Conv2D",
        "MaxPooling2D", "Flatten", "Dense", "Dense",
    ]  # fmt: skip
    convolutions = of_kind(model, "Conv2D")
    assert [layer.filters for layer in convolutions] == [16, 32, 64]
    assert {layer.kernel_size for layer in convolutions} == {(3, 3)}
    assert {layer.padding for layer in convolutions} == {"same"}
    assert {layer.activation.__name__ for layer in convolutions} == {"relu"}
    assert [layer.units for layer in of_kind(model, "Dense")] == [128, 5]
    assert model.layers[-1].activation.__name__ == "linear"
    # The published tutorial's count for 180 × 180 × 3 and 5 classes.
    assert model.count_params() == 3_989_285


def test_cnn_512_two_classes_has_single_logit() -> None:
    model = build("cnn-512", 150, classes=2)
    # The published notebook's count.
    assert model.count_params() == 10_641_441
    assert [layer.units for layer in of_kind(model, "Dense")] == [512, 1]
    assert model.output.shape == (None, 2)


def test_cnn_512_two_classes_loss_equals_binary_cross_entropy() -> None:
    import keras

    model = build("cnn-512", 16, classes=2)
    images = np.random.default_rng(0).integers(0, 256, (6, 16, 16, 3), np.uint8)
    labels = np.array([0, 1, 1, 0, 1, 0])
    pair = model.predict_on_batch(images)
    logit = keras.Model(model.input, model.get_layer("logits").output).predict_on_batch(images)
    np.testing.assert_array_equal(pair, np.concatenate([np.zeros((6, 1)), logit], axis=1))
    by_pair = keras.losses.SparseCategoricalCrossentropy(from_logits=True)(labels, pair)
    by_logit = keras.losses.BinaryCrossentropy(from_logits=True)(labels[:, None], logit)
    assert float(by_pair) == pytest.approx(float(by_logit), rel=1e-6)


def test_cnn_512_three_classes_has_one_logit_per_class() -> None:
    assert [layer.units for layer in of_kind(build("cnn-512", 16, classes=3), "Dense")] == [512, 3]


def test_cnn_bn_has_the_documented_layers() -> None:
    model = build("cnn-bn", 28, channels=1, classes=10)
    assert kinds(model) == [
        "InputLayer", "Rescaling", "Conv2D", "MaxPooling2D", "Conv2D", "MaxPooling2D", "Conv2D",
        "BatchNormalization", "Dropout", "Flatten", "Dense", "Dense",
    ]  # fmt: skip
    sides = [layer.output.shape[1] for layer in model.layers[2:7]]
    assert sides == [26, 13, 11, 5, 3]
    last = of_kind(model, "Conv2D")[2]
    assert (last.filters, last.kernel_size, last.strides) == (32, (5, 5), (2, 2))
    assert of_kind(model, "Dropout")[0].rate == 0.4
    assert [layer.units for layer in of_kind(model, "Dense")] == [128, 10]


@pytest.mark.parametrize("name", CNNS)
def test_cnn_image_below_minimum_size_raises_value_error(name: str) -> None:
    with pytest.raises(ValueError, match="output size would be zero"):
        build(name, MODELS[name].min_side_px - 1)


@pytest.mark.parametrize("name", CNNS)
@pytest.mark.parametrize("channels", [1, 3])
def test_cnn_image_of_minimum_size_is_accepted(name: str, channels: int) -> None:
    side_px = MODELS[name].min_side_px
    shape = ImageShape(side_px, side_px + 3, channels)  # type: ignore[arg-type]
    model = build_network(Architecture(name, shape, 2)).model
    images = np.zeros((4, *shape.array_shape), np.uint8)
    assert model.predict_on_batch(images).shape == (4, 2)
    assert model.input.dtype == "uint8"


@pytest.mark.parametrize(
    ("name", "after"),
    [
        ("cnn", ["MaxPooling2D"]),
        ("cnn-512", ["MaxPooling2D", "MaxPooling2D"]),
        ("cnn-bn", ["BatchNormalization"]),
    ],
)
def test_cnn_dropout_option_adds_documented_layers(name: str, after: list[str]) -> None:
    model = build(name, 16, dropout=0.2)
    places = [place for place, kind in enumerate(kinds(model)) if kind == "Dropout"]
    assert [kinds(model)[place - 1] for place in places] == after
    assert {layer.rate for layer in of_kind(model, "Dropout")} == {0.2}
    assert not of_kind(build(name, 16, dropout=0.0), "Dropout")


def test_cnn_512_dropout_follows_first_and_last_pooling() -> None:
    names = kinds(build("cnn-512", 16, dropout=0.2))
    pools = [place for place, kind in enumerate(names) if kind == "MaxPooling2D"]
    assert [names[place + 1] for place in pools] == ["Dropout", "Conv2D", "Dropout"]


@pytest.mark.parametrize("name", CNNS)
def test_cnn_l2_adds_squared_kernels_to_loss(name: str) -> None:
    model = build(name, 16, l2=0.01)
    kernels = [layer.kernel for layer in of_kind(model, "Conv2D") + of_kind(model, "Dense")]
    expected = 0.01 * sum(float(np.square(np.asarray(kernel)).sum()) for kernel in kernels)
    assert float(sum(model.losses)) == pytest.approx(expected, rel=1e-5)
    assert not build(name, 16).losses


@pytest.mark.parametrize("name", CNNS)
def test_cnn_mixed_precision_logits_are_float32(name: str) -> None:
    import keras

    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = build(name, 16, classes=2)
        logits = model(np.zeros((1, 16, 16, 3), np.uint8))
    finally:
        keras.config.set_dtype_policy("float32")
    assert keras.backend.standardize_dtype(logits.dtype) == "float32"
    assert of_kind(model, "Conv2D")[0].compute_dtype == "bfloat16"


@pytest.mark.parametrize("name", CNNS)
def test_cnn_rebuilt_from_config_without_custom_objects_gives_same_logits(name: str) -> None:
    import keras

    model = build(name, 16, classes=2, dropout=0.2)
    copy = keras.Model.from_config(model.get_config())
    copy.set_weights(model.get_weights())
    images = np.random.default_rng(1).integers(0, 256, (2, 16, 16, 3), np.uint8)
    np.testing.assert_allclose(
        copy.predict_on_batch(images), model.predict_on_batch(images), rtol=1e-5
    )


def test_cnn_rescaling_layer_scales_pixels_to_unit_range() -> None:
    scaled = build("cnn", 8).layers[1](np.array([0, 51, 255], np.uint8))
    np.testing.assert_allclose(np.asarray(scaled), [0, 0.2, 1], atol=1e-6)
