"""Predictions of a trained model for image files, bytes and arrays."""

from trainers.prediction.file_evaluation import Confusion, FileEvaluation, evaluate_files
from trainers.prediction.image_files import ImageFile, find_images
from trainers.prediction.predictor import Predictor
from trainers.prediction.result import FilePrediction, Prediction

__all__ = [
    "Confusion",
    "FileEvaluation",
    "FilePrediction",
    "ImageFile",
    "Prediction",
    "Predictor",
    "evaluate_files",
    "find_images",
]
