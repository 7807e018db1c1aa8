"""Predictions of a trained model for image files, bytes and arrays."""

from trainers.prediction.image_files import ImageFile, find_images
from trainers.prediction.predictor import Predictor
from trainers.prediction.result import FilePrediction, Prediction

__all__ = ["FilePrediction", "ImageFile", "Prediction", "Predictor", "find_images"]
