"""Export to `model.tflite`, a file for LiteRT (TensorFlow Lite).

The input is one image, uint8 (1, height, width, channels), also with int8: the model itself scales
and quantizes the pixels. An operation that has no int8 version stays float32.
"""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
from tensorflow.lite.python.convert_phase import ConverterError

from records.errors import UsageError
from trainers.backend import capture_native_logs
from trainers.export.pixel_model import saved_pixel_model
from trainers.export.preprocessing import output_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    import keras
    from numpy.typing import NDArray

    from trainers.export.formats import ExportPrecision
    from trainers.runs.run_dir import Run

_FILE = "model.tflite"


def write(
    model: keras.Model,
    run: Run,
    folder: Path,
    *,
    precision: ExportPrecision = "float32",
    representative_images: Callable[[], Iterable[NDArray[np.uint8]]] | None = None,
) -> None:
    """Write a model that maps the pixels of one image, uint8 (1, *shape), to outputs, float32.

    They are probabilities (1, classes) or, if the run predicts a number, a value (1, 1).

    Args:
        model: the model of the run, which returns logits.
        run: the run.
        folder: the folder of the export.
        precision: the type of the weights; with `int8`, also of the activations.
        representative_images: returns images, uint8 `shape`, which determine the
            ranges of the activations; only for `int8`.

    Raises:
        UsageError: the converter cannot convert this model.
    """
    with _quiet(), saved_pixel_model(model, run, batch=1) as saved:
        converter = tf.lite.TFLiteConverter.from_saved_model(str(saved))
        if precision != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if precision == "float16":
            converter.target_spec.supported_types = [tf.float16]
        if precision == "int8" and representative_images is not None:
            converter.representative_dataset = lambda: (
                {"image": pixels[np.newaxis]} for pixels in representative_images()
            )
            converter.target_spec.supported_ops = [
                tf.lite.OpsSet.TFLITE_BUILTINS_INT8,
                tf.lite.OpsSet.TFLITE_BUILTINS,
            ]
        try:
            content: bytes = converter.convert()
        except ConverterError as error:
            raise UsageError(
                f"the converter to LiteRT cannot convert {run.config.architecture.model}",
                got=_first_line(error),
                hint="use --format saved_model or --format keras",
            ) from error
    (folder / _FILE).write_bytes(content)


def open_scorer(folder: Path, run: Run) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
    """Return a function from pixels, uint8 (batch, *shape), to the outputs of an exported model."""
    name = output_name(run.config)
    with _quiet():
        runner = tf.lite.Interpreter(str(folder / _FILE)).get_signature_runner()
        # The first call selects the operations.
        runner(image=np.zeros((1, *run.config.shape.array_shape), np.uint8))

    def score(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        outputs: Any = [runner(image=image[np.newaxis])[name][0] for image in images]
        return np.stack(outputs)

    return score


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide the notes of the converter and of the interpreter, which no option turns off."""
    with warnings.catch_warnings(), capture_native_logs():
        warnings.simplefilter("ignore")
        yield


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), "no message")
