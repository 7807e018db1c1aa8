"""Evaluation of a trained model on a split."""

from trainers.evaluation.evaluate import evaluate
from trainers.evaluation.label_metrics import LabelMetrics, MultiLabelEvaluation
from trainers.evaluation.metrics import ClassMetrics, Evaluation
from trainers.evaluation.mistakes import LabelMistake, Mistake

__all__ = [
    "ClassMetrics", "Evaluation", "LabelMetrics", "LabelMistake", "Mistake", "MultiLabelEvaluation",
    "evaluate",
]  # fmt: skip
