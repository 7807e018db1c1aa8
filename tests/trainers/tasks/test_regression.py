"""Loss, metrics and outputs of the task `regression`."""

from __future__ import annotations

import numpy as np
import pytest

from trainers.config import Target
from trainers.tasks import find_task

TARGETS = (Target("v", 0.0, 1.0), Target("v", 1e4, 3.0), Target("v", -2e-6, 4e-7))


def draw(target: Target, images: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """True values (images,) and predictions (images, 1) of a target, float32."""
    random = np.random.default_rng(seed)
    true = random.normal(target.mean, target.deviation, images)
    predicted = true + random.normal(0, target.deviation / 2, images)
    return true.astype(np.float32), predicted.astype(np.float32)[:, None]


def r2(true: np.ndarray, predicted: np.ndarray) -> float:
    true, predicted = true.astype(np.float64), predicted[:, 0].astype(np.float64)
    return float(1 - ((predicted - true) ** 2).sum() / ((true - true.mean()) ** 2).sum())


@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_loss_is_mean_squared_error_in_units_of_the_variance(target: Target) -> None:
    true, predicted = draw(target, 100, 1)
    losses = np.asarray(find_task("regression", target).loss(0, None)(true, predicted))
    assert losses.shape == (100,)
    errors = (predicted[:, 0].astype(np.float64) - true) / target.deviation
    np.testing.assert_allclose(losses, errors**2, rtol=1e-2, atol=1e-4)
    means = np.full((100, 1), target.mean, np.float32)
    assert np.mean(find_task("regression", target).loss(0, None)(true, means)) == pytest.approx(
        1, abs=0.4
    )


@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_metrics_of_batches_equal_those_of_all_images(target: Target) -> None:
    true, predicted = draw(target, 100, 2)
    for metric, expected in zip(
        find_task("regression", target).metrics(),
        (r2(true, predicted), np.abs(predicted[:, 0] - true).mean()),
        strict=True,
    ):
        for start in range(0, 100, 32):
            metric.update_state(true[start : start + 32], predicted[start : start + 32])
        assert float(metric.result()) == pytest.approx(float(expected), rel=1e-2)
        assert all(variable.shape == () for variable in metric.variables)


def test_r2_without_images_or_without_variance_is_zero() -> None:
    metric, _ = find_task("regression", TARGETS[0]).metrics()
    assert float(metric.result()) == 0
    metric.update_state(np.zeros(3, np.float32), np.ones((3, 1), np.float32))
    assert float(metric.result()) == 0


def test_outputs_equal_those_of_the_output_layer() -> None:
    logits = np.array([[-1e30], [0], [0.1], [1e30]], np.float32)
    task = find_task("regression", TARGETS[1])
    np.testing.assert_array_equal(task.outputs(logits), np.asarray(task.output_layer()(logits)))


@pytest.mark.parametrize("name", ["cnn", "cnn-bn", "cnn-512"])
def test_network_of_a_target_predicts_its_mean_before_training(name: str) -> None:
    from trainers.config import Architecture, ImageShape
    from trainers.models.build import build_network

    target = Target("v", 5e4, 20.0)
    shape = ImageShape(32, 32, 3)
    architecture = Architecture(name, shape, classes=1, task="regression", target=target)
    model = build_network(architecture).model
    images = np.random.default_rng(0).integers(0, 256, (4, *shape.array_shape)).astype(np.uint8)
    found = np.asarray(model(images))
    assert found.shape == (4, 1)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, target.mean, atol=20 * target.deviation)
