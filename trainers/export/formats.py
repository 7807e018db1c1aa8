"""Table of export formats; importing this module loads no framework."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from difflib import get_close_matches

from records.errors import UsageError
from records.runtime.extras import install_command


@dataclass(frozen=True)
class ExportFormat:
    """A file format of exported models.

    Args:
        module: the module with the function `write(model, run, folder)`.
        model: the file without which no program loads the folder; it is written last.
        use: a line of Python that opens the model; `{out}` is the folder.
        extra: the module that the conversion needs, and the extra of shardmill that installs this
            module; None if the format needs neither.
    """

    module: str
    model: str
    use: str
    extra: tuple[str, str] | None = None


FORMATS: dict[str, ExportFormat] = {
    "keras": ExportFormat(
        "trainers.export.keras_format",
        "model.keras",
        'keras.models.load_model("{out}/model.keras")',
    ),
    "saved_model": ExportFormat(
        "trainers.export.saved_model",
        "saved_model.pb",
        'tf.saved_model.load("{out}").signatures["serving_default"](image=tf.constant([file]))',
    ),
    "onnx": ExportFormat(
        "trainers.export.onnx",
        "model.onnx",
        'onnxruntime.InferenceSession("{out}/model.onnx").run(None, {{"image": pixels}})',
        extra=("tf2onnx", "onnx"),
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
