"""Export to `model.xml` and `model.bin`, files for OpenVINO."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from records.errors import UsageError
from trainers.backend import capture_native_logs
from trainers.export.model_card import describe_provenance
from trainers.export.pixel_model import saved_pixel_model
from trainers.export.preprocessing import output_name

if TYPE_CHECKING:
    from pathlib import Path

    import keras

    from trainers.runs.run_dir import Run


def write(model: keras.Model, run: Run, folder: Path) -> None:
    """Write a model that maps pixels, uint8 (batch, *shape), to outputs, float32.

    They are probabilities (batch, classes), `scores`, or, if the run predicts a number, values
    (batch, 1), `value`.

    Raises:
        UsageError: the converter cannot convert this model.
    """
    import openvino  # starts a thread

    with capture_native_logs(), saved_pixel_model(model, run, batch=None) as saved:
        try:
            # Unlike `openvino.convert_model`, this sends no telemetry.
            converted = openvino.Core().read_model(saved)
        except RuntimeError as error:
            raise UsageError(
                f"the converter to OpenVINO cannot convert {run.config.architecture.model}",
                got=str(error).strip().rpartition("\n")[2],
                hint="use --format saved_model or --format onnx",
            ) from error
        [image], [output] = converted.inputs, converted.outputs
        image.get_tensor().set_names({"image"})
        output.get_tensor().set_names({output_name(run.config)})
        converted.set_rt_info(json.dumps(list(run.labels)), ["shardmill", "labels"])
        provenance = json.dumps(describe_provenance(run))
        converted.set_rt_info(provenance, ["shardmill", "provenance"])
        openvino.save_model(converted, folder / "model.xml", compress_to_fp16=False)
