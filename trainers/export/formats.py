"""Table of export formats; importing this module loads no framework."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Literal

from records.errors import UsageError
from records.runtime.extras import install_command

if TYPE_CHECKING:
    from trainers.config import RunConfig

ExportPrecision = Literal["float32", "float16", "int8"]
"""The type of the stored weights; with `int8`, also of the activations."""


@dataclass(frozen=True)
class Program:
    """The lines that differ between the example programs of the formats.

    Args:
        packages: the packages to install, apart from NumPy and Pillow.
        imports: the lines that import the packages.
        load: the lines that assign the model to `model`, in the folder of the export.
        call: an expression for the outputs of one image, (outputs,). It uses `pixels`, uint8
            (height, width, channels), and `{output}` for the name of the output; None if the model
            receives image files.
    """

    packages: str
    imports: tuple[str, ...]
    load: str
    call: str | None


@dataclass(frozen=True)
class ExportFormat:
    """A file format of exported models.

    Args:
        title: the name of the format for people.
        module: the module with the function `write(model, run, folder)`. If the format has several
            precisions, `write` has the arguments `precision` and
            `representative_images`, too.
        model: the file without which no program loads the folder; it is written last.
        use: a line of Python that opens the model; `{out}` is the folder.
        program: the lines of the example program in the model card.
        extra: the module that the conversion needs, and the extra of shardmill that installs this
            module; None if the format needs neither.
        batch: the number of images per call; None means any number.
        precisions: the precisions that the format has.
    """

    title: str
    module: str
    model: str
    use: str
    program: Program
    extra: tuple[str, str] | None = None
    batch: int | None = None
    precisions: tuple[ExportPrecision, ...] = field(default=("float32",))

    def program_of(self, config: RunConfig) -> Program:
        """Return the example program; a Keras file needs the layers of its backbone."""
        program = self.program
        if self.module != "trainers.export.keras_format" or config.architecture.backbone is None:
            return program
        imports = (*program.imports, "import keras_hub  # has the layers of the model")
        return replace(program, packages=f"{program.packages} keras-hub", imports=imports)


FORMATS: dict[str, ExportFormat] = {
    "keras": ExportFormat(
        "Keras",
        "trainers.export.keras_format",
        "model.keras",
        'keras.models.load_model("{out}/model.keras")',
        Program(
            "keras tensorflow",
            ("import keras",),
            'model = keras.models.load_model("model.keras")',
            "model.predict(pixels[np.newaxis], verbose=0)[0]",
        ),
    ),
    "saved_model": ExportFormat(
        "TensorFlow SavedModel",
        "trainers.export.saved_model",
        "saved_model.pb",
        'tf.saved_model.load("{out}").signatures["serving_default"](image=tf.constant([file]))',
        Program(
            "tensorflow", ("import tensorflow as tf",), 'model = tf.saved_model.load(".")', None
        ),
    ),
    "onnx": ExportFormat(
        "ONNX",
        "trainers.export.onnx",
        "model.onnx",
        'onnxruntime.InferenceSession("{out}/model.onnx").run(None, {{"image": pixels}})',
        Program(
            "onnxruntime",
            ("import onnxruntime",),
            'model = onnxruntime.InferenceSession("model.onnx")',
            'model.run(["{output}"], {{"image": pixels[np.newaxis]}})[0][0]',
        ),
        extra=("tf2onnx", "onnx"),
    ),
    "litert": ExportFormat(
        "LiteRT",
        "trainers.export.litert",
        "model.tflite",
        'ai_edge_litert.interpreter.Interpreter("{out}/model.tflite").get_signature_runner()',
        Program(
            "ai-edge-litert",
            ("from ai_edge_litert.interpreter import Interpreter",),
            'model = Interpreter("model.tflite").get_signature_runner()',
            'model(image=pixels[np.newaxis])["{output}"][0]',
        ),
        batch=1,
        precisions=("float32", "float16", "int8"),
    ),
    "openvino": ExportFormat(
        "OpenVINO",
        "trainers.export.openvino",
        "model.xml",
        'openvino.compile_model("{out}/model.xml")(pixels)',
        Program(
            "openvino",
            ("import openvino",),
            'settings = {"INFERENCE_PRECISION_HINT": "f32"}\n'
            'model = openvino.compile_model("model.xml", "CPU", settings)',
            'model({{"image": pixels[np.newaxis]}})["{output}"][0]',
        ),
        extra=("openvino", "openvino"),
    ),
}


def require_converter(name: str) -> None:
    """Check that a format exists and that its converter is installed. Raises UsageError."""
    if name not in FORMATS:
        alike = get_close_matches(str(name).lower(), FORMATS, 1)
        raise UsageError(
            "unknown export format",
            expected=", ".join(FORMATS),
            got=repr(name),
            hint=f"did you mean {alike[0]}?" if alike else None,
        )
    extra = FORMATS[name].extra
    # Importing tf2onnx here would load TensorFlow before the backend is started.
    if extra is not None and importlib.util.find_spec(extra[0]) is None:
        raise UsageError(f"{extra[0]} is not installed", hint=install_command(extra[1]))


def require_precision(name: str, precision: ExportPrecision, *, has_images: bool) -> None:
    """Check that a format has a precision, and that only int8 has representative images.

    Args:
        name: the format.
        precision: the precision.
        has_images: whether the user gives a dataset with representative images.

    Raises:
        UsageError: the options contradict each other.
    """
    if precision not in FORMATS[name].precisions:
        able = next(other for other, each in FORMATS.items() if precision in each.precisions)
        raise UsageError(
            f"the format {name} has no precision {precision}",
            expected=", ".join(FORMATS[name].precisions),
            hint=f"use --format {able}",
        )
    if precision != "int8" and has_images:
        raise UsageError(
            "--calibrate has an effect only with --int8",
            hint="add --int8, or omit --calibrate",
        )
