"""Search for wrong labels and outliers."""

from trainers.label_errors.find import label_errors
from trainers.label_errors.result import ClassOverlap, LabelError, LabelErrors, Outlier

__all__ = ["ClassOverlap", "LabelError", "LabelErrors", "Outlier", "label_errors"]
