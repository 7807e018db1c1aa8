"""Metrics accumulated since the epoch began, and their sums."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
from keras import ops

if TYPE_CHECKING:
    from trainers.training.phase_setup import PhaseSetup


def read_metrics(setup: PhaseSetup) -> dict[str, float]:
    """Return all metrics by name, accumulated since the epoch or its validation began."""
    sync_jax_state(setup.model)
    return {metric.name: float(to_numpy(metric.result())) for metric in setup.metrics}


def metric_totals(setup: PhaseSetup) -> tuple[float, ...]:
    """Return the sums of the metrics, for a checkpoint."""
    return tuple(float(to_numpy(variable)) for variable in _variables(setup))


def restore_totals(setup: PhaseSetup, sums: tuple[float, ...]) -> None:
    """Set the sums of the metrics; empty `sums` leave the metrics unchanged."""
    for variable, value in zip(_variables(setup), sums, strict=False):
        variable.assign(value)


def sync_jax_state(model: keras.Model) -> None:
    """Update the variables of a model on JAX, which keeps the current state outside them."""
    if keras.backend.backend() == "jax":
        model.jax_state_sync()


def to_numpy(tensor: Any) -> Any:
    """Return a tensor or variable of the backend as a NumPy array."""
    return ops.convert_to_numpy(tensor)


def _variables(setup: PhaseSetup) -> list[Any]:
    return [variable for metric in setup.metrics for variable in metric.variables]
