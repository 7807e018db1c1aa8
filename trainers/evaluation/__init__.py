"""Evaluation of a trained model on a split."""

from trainers.evaluation.evaluate import evaluate
from trainers.evaluation.metrics import ClassMetrics, Evaluation
from trainers.evaluation.mistakes import Mistake

__all__ = ["ClassMetrics", "Evaluation", "Mistake", "evaluate"]
