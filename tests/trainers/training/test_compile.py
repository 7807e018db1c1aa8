"""Tests of optimizers, schedules and losses."""

from __future__ import annotations

import inspect

import keras
import numpy as np
import pytest

from trainers.options import OPTIMIZERS, TrainOptions
from trainers.tasks import find_task
from trainers.training.compile import build_optimizer, compile_model
from trainers.training.phases import Phase

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
