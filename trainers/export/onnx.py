"""Export to `model.onnx`, a file for ONNX Runtime and other ONNX readers.

The file also has the class names, the preprocessing and the provenance, as JSON in its metadata.
"""

from __future__ import annotations

import json
import logging
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import tensorflow as tf
import tf2onnx
from keras.src.export.tf2onnx_lib import patch_tf2onnx
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from records.errors import UsageError
from records.version import __version__
from trainers.export.model_card import describe_provenance
from trainers.export.pixel_model import pixel_function, pixel_spec
from trainers.export.preprocessing import describe_preprocessing, encode_preprocessing, output_name
from trainers.runs.thresholds import read_thresholds
from trainers.tasks import task_of
from trainers.tasks.base import add_output_layer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import keras
    from numpy.typing import NDArray

    from trainers.config import RunConfig
    from trainers.runs.run_dir import Run

_INPUT = "image"


def write(model: keras.Model, run: Run, folder: Path) -> None:
    """Write a model that maps pixels, uint8 (batch, *shape), to outputs, float32.

    They are probabilities (batch, classes), `scores`, or, if the run predicts a number, values
    (batch, 1), `value`. If the task has thresholds, the output `thresholds`, float32 (classes,),
    has them.

    Raises:
        UsageError: the converter cannot convert this model.
    """
    converted = convert(add_output_layer(task_of(run.config), model), run.config)
    if thresholds := read_thresholds(run):
        add_output(converted, "thresholds", np.array(thresholds, np.float32))
    check_onnx(converted, run.config.architecture.model)
    converted.producer_name, converted.producer_version = "shardmill", __version__
    onnx.helper.set_model_props(converted, _describe(run))
    onnx.save(converted, folder / "model.onnx")


def convert(scored: keras.Model, config: RunConfig) -> onnx.ModelProto:
    """Return the model as ONNX, with the input `image` and one output."""
    function = tf.function(
        pixel_function(scored, config), input_signature=[pixel_spec(config, None)], autograph=False
    )
    # tf2onnx would take a constant that the function captures as an input.
    frozen = convert_variables_to_constants_v2(
        function.get_concrete_function(), lower_control_flow=False, aggressive_inlining=True
    )
    [image], [output] = frozen.inputs, frozen.outputs
    with _silent("tf2onnx", "tensorflow"):
        patch_tf2onnx()  # tf2onnx does not support NumPy 2
        converted, _ = tf2onnx.convert.from_graph_def(
            frozen.graph.as_graph_def(add_shapes=True),
            name=config.architecture.model,
            input_names=[image.name],
            output_names=[output.name],
            tensors_to_rename={image.name: _INPUT, output.name: output_name(config)},
            custom_op_handlers={"Erfc": (_convert_erfc, [])},
        )
    return converted


def _convert_erfc(graph: Any, node: Any, _name: str, _arguments: Any) -> None:
    """Replace erfc, a part of GELU that neither ONNX nor tf2onnx has, by 1 - erf."""
    node.type, node.domain = "Erf", ""
    kind = np.float16 if graph.get_dtype(node.input[0]) == onnx.TensorProto.FLOAT16 else np.float32
    one = graph.make_const(f"{node.name}/one", np.array(1, kind))
    negative = graph.insert_new_node_on_output("Neg", node.output[0])
    added = graph.insert_new_node_on_output("Add", negative.output[0])
    added.input.append(one.output[0])


@contextmanager
def _silent(*names: str) -> Iterator[None]:
    """Hide the messages of some loggers, and warnings of future changes.

    `check_onnx` reports the error of an operation that tf2onnx cannot convert.
    """
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _describe(run: Run) -> dict[str, str]:
    """Return the metadata of the file: texts by name, each of them JSON."""
    preprocessing = encode_preprocessing(describe_preprocessing(run.config, None)).decode()
    return {
        "labels": json.dumps(list(run.labels)),
        "preprocessing": json.dumps(json.loads(preprocessing)),
        "provenance": json.dumps(describe_provenance(run)),
    }


def add_output(model: onnx.ModelProto, name: str, value: NDArray[np.float32]) -> None:
    """Add an output with a constant value to an ONNX model."""
    constant = onnx.numpy_helper.from_array(value, f"{name}_value")
    model.graph.initializer.append(constant)
    model.graph.node.append(onnx.helper.make_node("Identity", [constant.name], [name]))
    shaped = onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, value.shape)
    model.graph.output.append(shaped)


def check_onnx(converted: onnx.ModelProto, model: str) -> None:
    """Check that a converted model is valid and has one input, `image`. Raises UsageError."""
    inputs = [each.name for each in converted.graph.input]
    try:
        onnx.checker.check_model(converted)
        problem = None if inputs == [_INPUT] else f"number of unexpected inputs: {len(inputs) - 1}"
    except onnx.checker.ValidationError as error:
        problem = str(error).strip().partition("\n")[0]
    if problem is not None:
        raise UsageError(
            f"the converter to ONNX cannot convert {model}",
            got=problem,
            hint="use --format saved_model or --format keras",
        )
