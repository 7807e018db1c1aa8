"""Explanations of predictions: the parts of an image on which a prediction is based."""

from trainers.explanation.class_activation import ClassActivation

__all__ = ["ClassActivation"]
