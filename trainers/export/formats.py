"""Table of export formats; reading it loads nothing heavy."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from difflib import get_close_matches

from records.errors import UsageError
from records.runtime.extras import install_command


@dataclass(frozen=True)
class ExportFormat:
    """A format that a model can be written in.

    Args:
        module: the module whose `write(model, run, folder)` writes it.
        use: a line of Python that opens it; `{out}` is the folder.
        extra: the module that the conversion needs, and the extra that installs it.
    """

    module: str
    use: str
    extra: tuple[str, str] | None = None


FORMATS: dict[str, ExportFormat] = {
    "keras": ExportFormat(
        "trainers.export.keras_format",
        'keras.models.load_model("{out}/model.keras")',
    ),
    "saved_model": ExportFormat(
        "trainers.export.saved_model",
        'tf.saved_model.load("{out}").signatures["serving_default"](image=tf.constant([file]))',
    ),
    "onnx": ExportFormat(
        "trainers.export.onnx",
        'onnxruntime.InferenceSession("{out}/model.onnx").run(None, {{"image": pixels}})',
        extra=("tf2onnx", "onnx"),
    ),
}


def require_converter(name: str) -> None:
    """Check that a format exists and its converter is installed. Raises UsageError."""
    if name not in FORMATS:
        alike = get_close_matches(str(name).lower(), FORMATS, 1)
        raise UsageError(
            "unknown export format",
            expected=", ".join(FORMATS),
            got=repr(name),
            hint=f"did you mean {alike[0]}?" if alike else None,
        )
    extra = FORMATS[name].extra
    # It is not imported: tf2onnx would load TensorFlow before the backend is started.
    if extra is not None and importlib.util.find_spec(extra[0]) is None:
        raise UsageError(f"{extra[0]} is not installed", hint=install_command(extra[1]))
