"""The models are what the table says."""

from __future__ import annotations

import numpy as np
import pytest

from records.errors import UsageError
from trainers.config import Architecture, ImageShape
from trainers.models import MODELS, find_model
from trainers.models.network import build_network


def test_cnn_is_three_blocks_and_two_dense_layers() -> None:
    model = build_network(Architecture("cnn", ImageShape(180, 180), 5)).model
    kinds = [type(layer).__name__ for layer in model.layers]
    assert kinds == [
        "InputLayer", "Rescaling", "Conv2D", "MaxPooling2D", "Conv2D", "MaxPooling2D", "Conv2D",
        "MaxPooling2D", "Flatten", "Dense", "Dense",
    ]  # fmt: skip
    convolutions = [layer for layer in model.layers if type(layer).__name__ == "Conv2D"]
    assert [layer.filters for layer in convolutions] == [16, 32, 64]
    assert {layer.kernel_size for layer in convolutions} == {(3, 3)}
    assert {layer.padding for layer in convolutions} == {"same"}
    assert {layer.activation.__name__ for layer in convolutions} == {"relu"}
    assert [layer.units for layer in model.layers[-2:]] == [128, 5]
    assert model.layers[-1].activation.__name__ == "linear"
    # The published tutorial's count for 180 × 180 × 3 and 5 classes.
    assert model.count_params() == 3_989_285


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("channels", [1, 3])
def test_every_model_takes_its_smallest_image(name: str, channels: int) -> None:
    side_px = MODELS[name].least_side_px
    shape = ImageShape(side_px, side_px + 3, channels)  # type: ignore[arg-type]
    model = build_network(Architecture(name, shape, 2)).model
    images = np.zeros((4, *shape.array_shape), np.uint8)
    assert model.predict_on_batch(images).shape == (4, 2)
    assert model.input.dtype == "uint8"


def test_preprocessing_is_inside_the_model() -> None:
    model = build_network(Architecture("cnn", ImageShape(8, 8), 2)).model
    scaled = model.layers[1](np.array([0, 51, 255], np.uint8))
    np.testing.assert_allclose(np.asarray(scaled), [0, 0.2, 1], atol=1e-6)


def test_an_unknown_model_is_refused_with_those_there_are() -> None:
    with pytest.raises(UsageError, match=r"expected cnn, got 'vgg99'"):
        find_model("vgg99")
