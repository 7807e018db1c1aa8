"""Main metrics of a run by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainers.evaluation.label_metrics import MultiLabelEvaluation
from trainers.evaluation.metrics import Evaluation

if TYPE_CHECKING:
    from trainers.report.measure import MeasuredRun


def metrics_of(measured: MeasuredRun) -> dict[str, float | None]:
    """Return the main metrics of a run by name."""
    evaluation, calibration = measured.evaluation, measured.calibration
    calibrated = (
        {} if calibration is None else {"expected calibration error": calibration.expected_error}
    )
    if isinstance(evaluation, Evaluation):
        top_5 = evaluation.top_5_accuracy
        return {
            "accuracy": evaluation.accuracy,
            **({} if top_5 is None else {"top-5 accuracy": top_5}),
            "loss": evaluation.loss,
            **calibrated,
        }
    if isinstance(evaluation, MultiLabelEvaluation):
        return {
            "mean average precision": evaluation.mean_average_precision,
            "micro F1": evaluation.micro_f1,
            "macro F1": evaluation.macro_f1,
            "binary accuracy": evaluation.binary_accuracy,
            "loss": evaluation.loss,
            **calibrated,
        }
    return {
        "R²": evaluation.r2,
        "mean absolute error": evaluation.mean_absolute_error,
        "root mean squared error": evaluation.root_mean_squared_error,
        "loss": evaluation.loss,
    }
