"""Speed of a planned run on this machine, from a few steps."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec

from trainers.out_of_memory import OutOfMemoryError
from trainers.recipes.measure import measure_speed
from trainers.recipes.time_plan import Work, epoch_seconds
from trainers.summary.summary import SpeedEstimate, TrainingSummary

if TYPE_CHECKING:
    from trainers.training.planning import TrainingPlan

_MOST_SECONDS = 300.0
"""The time of an epoch from which the steps of fine-tuning are not measured, but estimated."""
_MOST_MEMORY_SHARE = 0.5


def add_speed(plan: TrainingPlan, summary: TrainingSummary) -> TrainingSummary:
    """Return a summary with the speed of the last phase; see `measure_speed`.

    The speed remains None if a step may need more memory than is free.

    Raises:
        UsageError: the GPUs cannot share a batch of this size.
    """
    memory_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if summary.phases[-1].memory.total_bytes > _MOST_MEMORY_SHARE * memory_bytes:
        return summary
    try:
        speed = measure_speed(plan, _MOST_SECONDS)
    except OutOfMemoryError:
        return summary
    work = Work(plan.epoch_steps, plan.validation_steps, feature_images=0, head_epochs=0)
    reads_features = not speed.step_s
    step_images = summary.training_images / summary.epoch_steps
    image_s = speed.feature_image_s if reads_features else speed.step_s / step_images
    estimate = SpeedEstimate(
        images_per_second=1 / image_s,
        of_features=reads_features,
        epoch_seconds=epoch_seconds(speed, work),
    )
    return msgspec.structs.replace(summary, speed=estimate)
