"""Export to `model.onnx`, a file for ONNX Runtime and other ONNX readers."""

from __future__ import annotations

import logging
import warnings
from typing import TYPE_CHECKING

import numpy as np
import onnx

from records.errors import UsageError
from trainers.runs.thresholds import read_thresholds
from trainers.tasks import task_of
from trainers.tasks.base import add_output_layer

if TYPE_CHECKING:
    from pathlib import Path

    import keras
    from numpy.typing import NDArray

    from trainers.runs.run_dir import Run


def write(model: keras.Model, run: Run, folder: Path) -> None:
    """Write a model that maps pixels, uint8 (batch, *shape), to outputs, float32.

    They are probabilities (batch, classes) or, if the run predicts a number, values (batch, 1). If
    the task has thresholds, the output `thresholds`, float32 (classes,), has them.

    Raises:
        UsageError: the converter cannot convert this model.
    """
    path = folder / "model.onnx"
    scored = add_output_layer(task_of(run.config), model)
    # Keras determines the names and types of the inputs from a call.
    scored(np.zeros((1, *run.config.shape.array_shape), np.uint8))
    logging.getLogger("tf2onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        scored.export(path, format="onnx", verbose=False)
    if thresholds := read_thresholds(run):
        add_output(path, "thresholds", np.array(thresholds, np.float32))
    check_onnx(path, run.config.architecture.model)


def add_output(path: Path, name: str, value: NDArray[np.float32]) -> None:
    """Add an output with a constant value to an ONNX file."""
    model = onnx.load(path)
    constant = onnx.numpy_helper.from_array(value, f"{name}_value")
    model.graph.initializer.append(constant)
    model.graph.node.append(onnx.helper.make_node("Identity", [constant.name], [name]))
    shaped = onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, value.shape)
    model.graph.output.append(shaped)
    onnx.save(model, path)


def check_onnx(path: Path, model: str) -> None:
    """Check that a converted model is valid and has one input, `image`. Raises UsageError."""
    converted = onnx.load(path)
    inputs = [each.name for each in converted.graph.input]
    try:
        onnx.checker.check_model(converted)
        problem = None if inputs == ["image"] else f"number of unexpected inputs: {len(inputs) - 1}"
    except onnx.checker.ValidationError as error:
        problem = str(error).strip().partition("\n")[0]
    if problem is not None:
        raise UsageError(
            f"the converter to ONNX cannot convert {model}",
            got=problem,
            hint="use --format saved_model or --format keras",
        )
