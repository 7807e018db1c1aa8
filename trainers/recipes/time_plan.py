"""Number of epochs that fit into a time."""

from __future__ import annotations

from typing import NamedTuple

# The learning rate reaches the end of its schedule although the run is a little slower than
# measured: other programs use the machine, or a processor lowers its clock.
_USED_SHARE = 0.85
_VALIDATION_SHARE = 0.4
"""The time of a validation batch, as a share of that of a training step."""
LEAST_STEPS = 20
_HEAD_EPOCH_S = 0.3
_HEAD_STEP_S = 0.002
"""The time of an epoch and of a step of a head that reads features."""


class Speed(NamedTuple):
    """The speed of a run, measured on this machine, in seconds.

    Attributes:
        setup_s: the time to build the network and to compile the first step.
        step_s: the time of a step that reads images; 0 if the last phase reads features.
        feature_image_s: the time to compute the features of an image; 0 if no phase reads features.
    """

    setup_s: float
    step_s: float
    feature_image_s: float


class Work(NamedTuple):
    """The work of a run.

    Attributes:
        epoch_steps: the number of training steps per epoch.
        validation_steps: the number of validation batches per epoch.
        feature_images: the number of images whose features are stored; 0 if none are.
        head_epochs: the number of epochs of a head that reads features, before the other phases.
        unfreeze_epochs: the number of epochs before the last phase that unfreeze the backbone.
        final_steps: the number of batches of images after the last epoch.
    """

    epoch_steps: int
    validation_steps: int
    feature_images: int
    head_epochs: int
    unfreeze_epochs: int = 0
    final_steps: int = 0


def epoch_seconds(speed: Speed, work: Work) -> float:
    """Return the time of an epoch of the last phase, with its validation."""
    if not speed.step_s:
        return _HEAD_EPOCH_S + work.epoch_steps * _HEAD_STEP_S
    return speed.step_s * (work.epoch_steps + _VALIDATION_SHARE * work.validation_steps)


def main_seconds(speed: Speed, work: Work, available_s: float) -> float:
    """Return the time for the epochs of the last phase; negative if the rest takes too long."""
    other_s = speed.setup_s + speed.feature_image_s * work.feature_images
    other_s += work.head_epochs * (_HEAD_EPOCH_S + work.epoch_steps * _HEAD_STEP_S)
    other_s += work.unfreeze_epochs * epoch_seconds(speed, work)
    other_s += _VALIDATION_SHARE * speed.step_s * work.final_steps
    return available_s * _USED_SHARE - other_s


def fit_steps(speed: Speed, work: Work, main_s: float) -> int:
    """Return the number of steps of less than one epoch that a time allows, at least a few."""
    step_s = speed.step_s or _HEAD_STEP_S
    seconds = main_s - _VALIDATION_SHARE * step_s * work.validation_steps
    return min(max(int(seconds / step_s), LEAST_STEPS), work.epoch_steps)


def least_seconds(speed: Speed, work: Work) -> float:
    """Return the time of the fewest steps of a run, which it takes also if the time is shorter."""
    step_s = speed.step_s or _HEAD_STEP_S
    batches = work.validation_steps + work.final_steps
    steps = min(LEAST_STEPS, work.epoch_steps) + _VALIDATION_SHARE * batches
    return speed.feature_image_s * work.feature_images + steps * step_s
