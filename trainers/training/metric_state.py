"""Metrics accumulated since the epoch began, and their variables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from records.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from trainers.training.phase_setup import PhaseSetup


def read_metrics(setup: PhaseSetup) -> dict[str, float]:
    """Return all metrics by name, accumulated since the epoch or its validation began."""
    sync_jax_state(setup.model)
    return to_numbers((metric.name, metric.result()) for metric in setup.metrics)


def to_numbers(results: Iterable[tuple[str, Any]]) -> dict[str, float]:
    """Return the results of metrics as numbers by name.

    A result with several numbers, such as one per class, has the names `NAME_0`, `NAME_1` and so
    on. A metric may also return several results by name, as in Keras.
    """
    numbers: dict[str, float] = {}
    for name, result in results:
        if isinstance(result, dict):
            numbers |= to_numbers(result.items())
        elif (values := np.asarray(to_numpy(result))).size == 1:
            numbers[name] = float(values.item())
        else:
            numbers |= {f"{name}_{place}": float(each) for place, each in enumerate(values.flat)}
    return numbers


def read_variables(setup: PhaseSetup) -> list[NDArray[Any]]:
    """Return the variables of the metrics, each of any shape and dtype, for a checkpoint."""
    return [to_numpy(variable) for variable in _variables(setup)]


def restore_variables(setup: PhaseSetup, values: Sequence[NDArray[Any]]) -> None:
    """Set the variables of the metrics; without `values`, the metrics are unchanged.

    Raises:
        UsageError: the metrics have other variables than those that wrote the values.
    """
    if not values:
        return
    variables = _variables(setup)
    expected = [value.shape for value in values]
    if (got := [tuple(variable.shape) for variable in variables]) != expected:
        raise UsageError(
            "the metrics of the model differ from those of the checkpoint",
            expected=f"variables of shapes {_join(expected)}",
            got=_join(got),
            hint="register the model with the metrics that it had when the run began",
        )
    for variable, value in zip(variables, values, strict=True):
        _assign(variable, value)


def sync_jax_state(model: keras.Model) -> None:
    """Update the variables of a model on JAX, which keeps the current state outside them."""
    if keras.backend.backend() == "jax":
        model.jax_state_sync()


def to_numpy(tensor: Any) -> Any:
    """Return a tensor or variable of the backend as a NumPy array; bfloat16 becomes float32."""
    if "bfloat16" in str(getattr(tensor, "dtype", "")):
        tensor = ops.cast(tensor, "float32")  # exact; neither NumPy nor HDF5 has bfloat16
    return ops.convert_to_numpy(tensor)


def build_metrics(model: keras.Model, labels: NDArray[Any], outputs: Any) -> None:
    """Let each metric of a compiled model create its variables, which depend on their input.

    Otherwise, Keras would create them in the first step, after the state of a resumed run is set.

    Args:
        model: the compiled model.
        labels: the labels of a batch, as the input of training contains them.
        outputs: the outputs of the model for these labels: logits, or logits and mixed labels.

    Raises:
        UsageError: a metric does not accept these arrays.
    """
    try:
        model.compute_metrics(None, labels, outputs)
    except Exception as error:  # user code may raise any exception
        raise UsageError(
            "a metric of the model failed",
            expected=f"a metric of {labels.dtype} labels {labels.shape} and logits {outputs.shape}",
            got=f"{type(error).__name__}: {error}".partition("\n")[0],
            hint="see the traceback with `shardmill --verbose`",
        ) from error
    model.reset_metrics()


def _assign(variable: keras.Variable, value: NDArray[Any]) -> None:
    """Set a variable; of a sum over several GPUs, set the part of the first GPU.

    TensorFlow would divide the value by the number of GPUs, and round the parts.
    """
    parts = getattr(variable.value, "values", ()) if variable.aggregation == "sum" else ()
    for place, part in enumerate(parts or (variable,)):
        part.assign(np.zeros_like(value) if place else value)


def _join(shapes: Iterable[tuple[int, ...]]) -> str:
    return ", ".join(map(str, shapes))


def _variables(setup: PhaseSetup) -> list[Any]:
    return [variable for metric in setup.metrics for variable in metric.variables]
