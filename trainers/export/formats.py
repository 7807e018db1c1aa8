"""The formats there are, as a table; nothing heavy is loaded by reading it."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass

from records.errors import UsageError


@dataclass(frozen=True)
class ExportFormat:
    """A format that a model can be written in.

    Args:
        module: the module whose `write(model, run, folder)` writes it.
        use: how it is opened, a line of Python; `{out}` is the folder.
        needs: what has to be installed besides, as `pip` and `import` know it.
    """

    module: str
    use: str
    needs: tuple[str, str] | None = None


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
        needs=("shardmill[onnx]", "tf2onnx"),
    ),
}


def require_converter(form: str) -> None:
    """Refuse a format whose converter is not installed. Raises UsageError."""
    needs = FORMATS[form].needs
    if needs is not None and importlib.util.find_spec(needs[1]) is None:
        raise UsageError(
            f"the converter to {form} is not installed", hint=f'pip install "{needs[0]}"'
        )
