"""Speed of a planned run, measured by real steps."""

from __future__ import annotations

import gc
import time
from itertools import islice
from typing import TYPE_CHECKING, Any

from trainers.backend import start_backend
from trainers.recipes.time_plan import Speed
from trainers.recipes.trial import read_batches, set_up_trial, trial_network

if TYPE_CHECKING:
    from trainers.models.build import Network
    from trainers.training.phase_setup import PhaseSetup
    from trainers.training.planning import TrainingPlan

STEPS = 20
_FIRST_STEPS = 2  # they include the compilation of the step
_MOST_SECONDS = 15.0
_MOST_SHARE = 0.05
"""The largest share of the time of the run for each part of the measurement."""
_FEATURE_BATCHES = 4
_BACKBONE_FACTOR = 3
"""The time to train on an image, as a multiple of the time to compute its features."""


def measure_speed(plan: TrainingPlan, available_s: float) -> Speed:
    """Return the speed of the last phase of a plan, and of the extraction of features before it.

    Trains a network with random weights on the first batches of the first epoch, and discards it:
    the run is not created, and its result does not depend on the measurement. On a slow machine,
    fewer steps are measured.

    Args:
        plan: the plan of the run.
        available_s: the time for the run in seconds.

    Raises:
        UsageError: the GPUs cannot share a batch of this size.
        OutOfMemoryError: a step needs more memory than the device has.
    """
    start_backend()  # its time is not a part of the next start
    step_s = first_s = feature_s = 0.0
    most_s = min(_MOST_SECONDS, _MOST_SHARE * available_s)
    started_at = time.monotonic()
    with trial_network(plan) as network:
        setup = set_up_trial(plan, network, plan.config.options)
        build_s = time.monotonic() - started_at
        if any(map(plan.reads_features, plan.phases)):
            feature_s = _time_features(plan, setup, network, most_s)
        # Compiling a step takes long, so it is not compiled if it will not be used.
        step_s = _BACKBONE_FACTOR * feature_s * plan.config.options.batch_size
        is_possible = step_s * plan.epoch_steps < available_s
        if plan.reads_features(setup.phase):
            step_s = 0.0
        elif is_possible:
            step_s, first_s = _time_steps(plan, setup, most_s)
        del network, setup
    gc.collect()
    return Speed(build_s + first_s, step_s, feature_s)


def _time_steps(plan: TrainingPlan, setup: PhaseSetup, most_s: float) -> tuple[float, float]:
    """Return the time of a step, and of the first steps in addition, in seconds."""
    import keras

    times = [time.monotonic()]

    def end_step(_batch: int, logs: dict[str, Any]) -> None:
        float(logs["loss"])  # waits for the device
        times.append(time.monotonic())
        if len(times) > _FIRST_STEPS + 2 and times[-1] - times[_FIRST_STEPS] > most_s:
            setup.model.stop_training = True

    steps = STEPS + _FIRST_STEPS
    setup.model.fit(
        read_batches(plan, setup, steps),
        epochs=1,
        steps_per_epoch=steps,
        shuffle=False,
        verbose=0,
        callbacks=[keras.callbacks.LambdaCallback(on_train_batch_end=end_step)],
    )
    step_s = (times[-1] - times[_FIRST_STEPS]) / (len(times) - 1 - _FIRST_STEPS)
    first_s = times[_FIRST_STEPS] - times[0] - _FIRST_STEPS * step_s
    return step_s, max(first_s, 0.0)


def _time_features(plan: TrainingPlan, setup: PhaseSetup, network: Network, most_s: float) -> float:
    """Return the time to read an image and to compute its features, in seconds."""
    assert network.extractor is not None  # a phase reads features
    batches = read_batches(plan, setup, _FEATURE_BATCHES + 1).as_numpy_iterator()
    images, started_at = 0, 0.0
    for number, (batch, _) in enumerate(islice(batches, _FEATURE_BATCHES + 1)):
        network.extractor.predict_on_batch(batch)
        if number == 0:  # it includes the compilation
            started_at = time.monotonic()
        else:
            images += len(batch)
            if time.monotonic() - started_at > most_s:
                break
    return (time.monotonic() - started_at) / max(images, 1)
