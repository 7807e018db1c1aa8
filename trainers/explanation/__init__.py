"""Explanations of predictions: the supporting parts of an image."""

from trainers.explanation.class_activation import ClassActivation

__all__ = ["ClassActivation"]
