"""Averages of weights, and the blocks in which they replace the weights."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from tests.trainers.backends import run_python
from trainers.averaged_weights import AveragedWeights
from trainers.options import TrainOptions
from trainers.training.compile import build_optimizer
from trainers.training.planning.phases import Phase

PHASE = Phase("all", 0, 100, 0.1)


def compiled(**options: Any) -> keras.Model:
    image = keras.Input((4,))
    keras.utils.set_random_seed(1)
    model = keras.Model(image, keras.layers.Dense(2)(image))
    model.compile(build_optimizer(TrainOptions(optimizer="sgd", **options), PHASE), "mse")
    model.optimizer.build(model.trainable_variables)
    return model


def fit(model: keras.Model, steps: int) -> list[np.ndarray]:
    """Train, and return the kernel after each step."""
    kernels: list[np.ndarray] = []
    random = np.random.default_rng(2)
    inputs, targets = random.random((8, 4)), random.random((8, 2))
    for _ in range(steps):
        model.fit(inputs, targets, batch_size=8, verbose=0)
        kernels.append(keras.ops.convert_to_numpy(model.trainable_variables[0]))
    return kernels


@pytest.mark.parametrize("momentum", [0.999, 0.3])
def test_average_has_momentum_that_grows_with_the_steps(momentum: float) -> None:
    model = compiled(ema=momentum)
    kernels = fit(model, 6)
    expected = kernels[0]
    for step, kernel in enumerate(kernels[1:], start=1):
        share = min(momentum, (1 + step) / (10 + step))
        expected = share * expected + (1 - share) * kernel
    with AveragedWeights(model):
        found = keras.ops.convert_to_numpy(model.trainable_variables[0])
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert np.abs(found - kernels[-1]).max() > 1e-4


def test_fit_with_averages_trains_as_without() -> None:
    np.testing.assert_array_equal(fit(compiled(), 4), fit(compiled(ema=0.9), 4))


def test_block_restores_weights_exactly_also_before_its_end_and_after_use() -> None:
    model = compiled(ema=0.9)
    last = fit(model, 3)[-1]
    inputs = np.ones((4, 4), np.float32)
    with AveragedWeights(model) as weights:
        average = keras.ops.convert_to_numpy(model.trainable_variables[0])
        losses = [model.evaluate(inputs, inputs[:, :2], verbose=0) for _ in range(2)]
        weights.restore()
        np.testing.assert_array_equal(model.trainable_variables[0], last)
    np.testing.assert_array_equal(model.trainable_variables[0], last)
    assert losses[0] == losses[1]
    with AveragedWeights(model):
        np.testing.assert_array_equal(model.trainable_variables[0], average)
    assert (average != last).any()
    assert model.evaluate(inputs, inputs[:, :2], verbose=0) != losses[0]


def test_block_without_averages_or_steps_changes_nothing() -> None:
    for model in (compiled(), compiled(ema=0.9)):
        before = keras.ops.convert_to_numpy(model.trainable_variables[0])
        with AveragedWeights(model):
            np.testing.assert_array_equal(model.trainable_variables[0], before)
        np.testing.assert_array_equal(model.trainable_variables[0], before)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="it is what runs this")
@pytest.mark.slow
def test_averages_on_jax_pass_same_tests() -> None:
    run_python("-m", "pytest", "-p", "no:cacheprovider", "-k", "not jax", __file__)
