"""Summary of a run before it is trained: layers, parameters, memory, speed."""

from trainers.summary.speed import add_speed
from trainers.summary.summarize import summarize_training
from trainers.summary.summary import (
    LayerSummary,
    MemoryEstimate,
    PhaseSummary,
    SpeedEstimate,
    TrainingSummary,
)

__all__ = [
    "LayerSummary",
    "MemoryEstimate",
    "PhaseSummary",
    "SpeedEstimate",
    "TrainingSummary",
    "add_speed",
    "summarize_training",
]
