"""Tests of optimizers, schedules and losses."""

from __future__ import annotations

import inspect

import keras
import numpy as np
import pytest

from trainers.options import OPTIMIZERS, TrainOptions
from trainers.tasks import find_task
from trainers.training.compile import build_optimizer, compile_model, shorten_moving_averages
from trainers.training.planning.phases import Phase

PHASE = Phase("all", 0, 100, 0.01)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_build_optimizer_each_name_gives_keras_optimizer(name: str) -> None:
    optimizer = build_optimizer(TrainOptions(optimizer=name), PHASE)
    kinds = {kind.lower() for kind, _ in inspect.getmembers(keras.optimizers, inspect.isclass)}
    assert type(optimizer).__name__.lower() == name
    assert name in kinds
    assert float(optimizer.learning_rate) == pytest.approx(0.01)


def rates(**options: object) -> list[float]:
    optimizer = build_optimizer(TrainOptions(**options), PHASE)  # type: ignore[arg-type]
    values = []
    for step in (0, 5, 10, 55, 100):
        optimizer.iterations.assign(step)
        values.append(float(optimizer.learning_rate))
    return values


def test_build_optimizer_warmup_and_cosine_schedule_set_learning_rate() -> None:
    level = pytest.approx([0.01] * 5)
    assert rates() == level
    assert rates(warmup_steps=10) == pytest.approx([0, 0.005, 0.01, 0.01, 0.01])
    assert rates(schedule="cosine", warmup_steps=10) == pytest.approx([0, 0.005, 0.01, 0.005, 0])
    falling = [0.005 * (1 + np.cos(np.pi * step / 100)) for step in (0, 5, 10, 55, 100)]
    assert rates(schedule="cosine") == pytest.approx(falling, abs=1e-9)


def test_build_optimizer_one_cycle_rises_over_a_quarter_of_the_steps() -> None:
    one_cycle = rates(schedule="one-cycle")
    assert one_cycle[:3] == pytest.approx([0, 0.002, 0.004])
    assert one_cycle[4] == pytest.approx(0, abs=1e-9)
    assert rates(schedule="one-cycle", warmup_steps=10) == pytest.approx(
        rates(schedule="cosine", warmup_steps=10)
    )


def test_build_optimizer_shortened_phase_reaches_the_end_of_its_schedule() -> None:
    options = TrainOptions(schedule="cosine")
    planned, once = PHASE, PHASE.shortened(20, 60)
    twice = once.shortened(40, 50)
    assert (once.end_step, once.schedule_steps, once.knots) == (60, 100, ((20, 20.0),))
    assert twice.knots == ((20, 20.0), (40, 60.0))
    for phase, step, place in (
        (once, 10, 10), (once, 40, 60), (once, 60, 100), (twice, 45, 80), (twice, 50, 100),
    ):  # fmt: skip
        found, expected = (build_optimizer(options, each) for each in (phase, planned))
        found.iterations.assign(step)
        expected.iterations.assign(place)
        assert float(found.learning_rate) == pytest.approx(float(expected.learning_rate), abs=1e-9)


def test_compile_model_training_step_is_traced_once() -> None:
    traced = []

    class Counted(keras.Model):  # type: ignore[misc]
        def train_step(self, data: object) -> object:
            traced.append(data)
            return super().train_step(data)

    image = keras.Input((4,))
    model = Counted(image, keras.layers.Dense(2)(image))
    compile_model(model, TrainOptions(), PHASE, find_task("classification"))
    model.fit(np.zeros((8, 4)), np.zeros(8), epochs=2, batch_size=4, verbose=0)
    assert len(traced) == 1


def test_choose_loss_label_smoothing_equals_definition() -> None:
    logits = np.array([[2.0, -1.0, 0.5], [0.0, 3.0, 1.0]], np.float32)
    labels = np.array([0, 2])
    logs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    plain = -logs[np.arange(2), labels]
    smooth = -(0.9 * logs[np.arange(2), labels] + 0.1 * logs.mean(axis=1))
    assert float(find_task("classification").loss(0, None)(labels, logits)) == pytest.approx(
        plain.mean(), rel=1e-5
    )
    result = np.asarray(find_task("classification").loss(0.1, None)(labels, logits))
    np.testing.assert_allclose(result, smooth, rtol=1e-5)


@pytest.mark.parametrize(
    ("steps", "momentum"), [(1, 0.5), (16, 0.5), (40, 0.8), (400, 0.98), (10_000, 0.99)]
)
def test_moving_averages_are_at_most_as_long_as_an_eighth_of_an_epoch(
    steps: int, momentum: float
) -> None:
    layers = [keras.layers.BatchNormalization(), keras.layers.BatchNormalization(momentum=0.3)]
    inner = keras.Sequential([keras.Input((3,)), layers[0]])
    model = keras.Sequential([keras.Input((3,)), inner, layers[1]])
    for _ in range(2):
        shorten_moving_averages(model, steps)
    assert [layer.momentum for layer in layers] == [pytest.approx(momentum), 0.3]
