"""Predictions of a trained model for image files, bytes and arrays."""

from trainers.prediction.predictor import FilePrediction, Prediction, Predictor

__all__ = ["FilePrediction", "Prediction", "Predictor"]
