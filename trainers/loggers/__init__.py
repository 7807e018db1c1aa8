"""Loggers, which record the metrics of runs: TensorBoard, MLflow, Weights & Biases."""

from trainers.loggers.base import Outcome, RunLogger
from trainers.loggers.table import LOGGERS, RunLoggers, check_loggers, open_loggers

__all__ = ["LOGGERS", "Outcome", "RunLogger", "RunLoggers", "check_loggers", "open_loggers"]
