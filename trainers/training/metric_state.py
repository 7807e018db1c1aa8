"""Accuracy and loss of the epoch so far, as Keras adds them up in a model's metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
from keras import ops

if TYPE_CHECKING:
    from trainers.training.phase_setup import PhaseSetup


def read_metrics(stage: PhaseSetup) -> dict[str, float]:
    """Accuracy and loss since the epoch began, or since its validation did."""
    sync_jax_state(stage.model)
    return {metric.name: float(to_numpy(metric.result())) for metric in stage.metrics}


def metric_totals(stage: PhaseSetup) -> tuple[float, ...]:
    """What the metrics have added up, to go on with in another process."""
    return tuple(float(to_numpy(variable)) for variable in _variables(stage))


def restore_totals(stage: PhaseSetup, sums: tuple[float, ...]) -> None:
    """Go on adding up; without any sums there is nothing to do."""
    for variable, value in zip(_variables(stage), sums, strict=False):
        variable.assign(value)


def sync_jax_state(model: keras.Model) -> None:
    """Put into the model's variables what JAX keeps outside of them between steps."""
    if keras.backend.backend() == "jax":
        model.jax_state_sync()


def to_numpy(tensor: Any) -> Any:
    """The value of a backend's tensor or variable."""
    return ops.convert_to_numpy(tensor)


def _variables(stage: PhaseSetup) -> list[Any]:
    return [variable for metric in stage.metrics for variable in metric.variables]
