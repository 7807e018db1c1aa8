"""Summary of a run before it is trained: layers, parameters, memory."""

from trainers.summary.summarize import summarize_training
from trainers.summary.summary import (
    LayerSummary,
    MemoryEstimate,
    PhaseSummary,
    TrainingSummary,
)

__all__ = [
    "LayerSummary",
    "MemoryEstimate",
    "PhaseSummary",
    "TrainingSummary",
    "summarize_training",
]
