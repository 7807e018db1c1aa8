"""Evaluation of a trained model on a split."""

from trainers.evaluation.evaluate import evaluate
from trainers.evaluation.label_metrics import LabelMetrics, MultiLabelEvaluation
from trainers.evaluation.metrics import ClassMetrics, Evaluation
from trainers.evaluation.mistakes import LabelMistake, Mistake, ValueMistake
from trainers.evaluation.value_metrics import RegressionEvaluation

__all__ = [
    "ClassMetrics", "Evaluation", "LabelMetrics", "LabelMistake", "Mistake", "MultiLabelEvaluation",
    "RegressionEvaluation", "ValueMistake", "evaluate",
]  # fmt: skip
