"""Export of a trained model to Keras, SavedModel and ONNX files."""

from trainers.export.export import export

__all__ = ["export"]
