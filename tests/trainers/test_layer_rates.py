"""Optimizers with factors of the learning rate train each weight with its own rate."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import keras
import numpy as np
import pytest

from tests.trainers.backends import run_python
from trainers.averaged_weights import AveragedWeights
from trainers.options import OPTIMIZERS, TrainOptions
from trainers.training.compile import build_optimizer
from trainers.training.planning.phases import Phase

PHASE = Phase("unfrozen", 0, 8, 0.02)
FACTOR = 0.25
STEPS = 6
EACH_OPTIMIZER = [
    name if name in {"adamw", "sgd"} else pytest.param(name, marks=pytest.mark.slow)
    for name in OPTIMIZERS
]


def make_weights() -> list[keras.Variable]:
    """Return two equal weights, (3, 4)."""
    values = np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4)
    return [keras.Variable(values, name=name) for name in ("slow", "fast")]


def train(
    optimizer: keras.optimizers.Optimizer, weights: list[keras.Variable], numbers: list[int]
) -> list[np.ndarray]:
    """Apply gradients that do not depend on the weights, those with these numbers."""
    optimizer.build(weights)
    gradients = np.random.default_rng(3).normal(size=(STEPS, 2, 3, 4)).astype(np.float32)
    for step in gradients:
        chosen = [keras.ops.convert_to_tensor(step[number]) for number in numbers]
        optimizer.apply(chosen, weights)
    return [keras.ops.convert_to_numpy(weight) for weight in weights]


@pytest.mark.parametrize("schedule", ["constant", pytest.param("cosine", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", EACH_OPTIMIZER)
def test_optimizer_with_factor_trains_a_weight_as_one_with_this_learning_rate(
    name: str, schedule: Any
) -> None:
    options = TrainOptions(optimizer=name, schedule=schedule)
    both = make_weights()
    found = train(build_optimizer(options, PHASE, {id(both[0]): FACTOR}), both, [0, 1])
    for number, rate in enumerate((FACTOR * PHASE.learning_rate, PHASE.learning_rate)):
        alone = build_optimizer(options, replace(PHASE, learning_rate=rate))
        (expected,) = train(alone, [make_weights()[number]], [number])
        np.testing.assert_allclose(found[number], expected, rtol=2e-5, atol=1e-6)
    assert np.abs(found[0] - found[1]).max() > 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer_with_factors_of_one_trains_as_without(name: str) -> None:
    options = TrainOptions(optimizer=name)
    weights, others = make_weights(), make_weights()
    expected = train(build_optimizer(options, PHASE), weights, [0, 1])
    factors = {id(each): 1.0 for each in others}
    found = train(build_optimizer(options, PHASE, factors), others, [0, 1])
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.slow
def test_optimizer_with_factors_keeps_averages_of_the_weights() -> None:
    image = keras.Input((4,))
    keras.utils.set_random_seed(1)
    slow, fast = keras.layers.Dense(3), keras.layers.Dense(2)
    model = keras.Model(image, fast(slow(image)))
    before = [keras.ops.convert_to_numpy(each) for each in model.trainable_variables]
    factors = {id(weight): 0.0 for weight in slow.weights}
    model.compile(build_optimizer(TrainOptions(ema=0.5), PHASE, factors), "mse")
    model.fit(np.ones((8, 4)), np.ones((8, 2)), batch_size=4, verbose=0)
    last = [keras.ops.convert_to_numpy(each) for each in model.trainable_variables]
    with AveragedWeights(model):
        averages = [keras.ops.convert_to_numpy(each) for each in model.trainable_variables]
    np.testing.assert_array_equal(last[0], before[0])
    np.testing.assert_allclose(averages[0], before[0], rtol=1e-6)
    assert np.abs(averages[2] - before[2]).max() > 1e-4
    assert np.abs(averages[2] - last[2]).max() > 1e-6


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="it is what runs this")
@pytest.mark.slow
def test_factors_on_jax_pass_same_tests() -> None:
    run_python("-m", "pytest", "-p", "no:cacheprovider", "-k", "not jax", __file__)
