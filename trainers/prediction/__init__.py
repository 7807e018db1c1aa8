"""Predictions of a trained model for image files, bytes and arrays."""

from trainers.prediction.image_files import ImageFile, find_images
from trainers.prediction.predictor import FilePrediction, Prediction, Predictor

__all__ = ["FilePrediction", "ImageFile", "Prediction", "Predictor", "find_images"]
