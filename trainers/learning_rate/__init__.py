"""Learning rate finder: a range test, its curve and its suggestion."""

from trainers.learning_rate.curve import LearningRateCurve
from trainers.learning_rate.find import find_learning_rate

__all__ = ["LearningRateCurve", "find_learning_rate"]
