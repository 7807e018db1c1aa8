"""Range test of learning rates, on discarded steps."""

from __future__ import annotations

import math
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec

from trainers.learning_rate.curve import LearningRateCurve, smooth, suggest
from trainers.recipes.trial import read_batches, set_up_trial, trial_network

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trainers.models.build import Network
    from trainers.training.phase_setup import PhaseSetup
    from trainers.training.planning import TrainingPlan

_FIRST, _LAST = 1e-7, 1.0
_STEPS = 100
_DIVERGED = 4.0
"""The test ends if the smoothed loss is so many times its lowest value."""


def find_learning_rate(plan: TrainingPlan) -> LearningRateCurve:
    """Train the last phase of a plan for some steps with a rising learning rate; discard the model.

    Neither the run nor a cache is written.

    Raises:
        UsageError: the pretrained weights do not fit the model, or the GPUs cannot share a batch of
            this size.
        InputNotFoundError: the pretrained weights cannot be downloaded.
        CorruptDataError: a record, or the file of the weights, cannot be read.
        OutOfMemoryError: a step needs more memory than the device has.
    """
    from trainers.input.bad_records import locate_bad_records

    options = plan.config.options
    rates = [_FIRST * (_LAST / _FIRST) ** (step / (_STEPS - 1)) for step in range(_STEPS)]
    losses: list[float] = []
    with (
        trial_network(plan) as network,
        locate_bad_records(plan.dataset, plan.training, on_message=lambda _: None),
    ):
        from trainers.models.freezing import prepare_groups

        if plan.weights is not None:
            from trainers.models.pretrained import load_backbone

            load_backbone(network, options.model, plan.weights)
        prepare_groups(network, options)
        constant = msgspec.structs.replace(options, schedule="constant", warmup_steps=0)
        setup = set_up_trial(plan, network, constant)
        for loss in _train(plan, setup, network, rates):
            losses.append(loss)
            smoothed = smooth(losses)
            if not math.isfinite(loss) or smoothed[-1] > _DIVERGED * min(smoothed):
                break
    finite = [loss for loss in losses if math.isfinite(loss)]
    smoothed = smooth(finite)
    tested = rates[: len(finite)]
    return LearningRateCurve(
        model=options.model,
        mode=options.mode,
        optimizer=options.optimizer,
        rates=tuple(tested),
        losses=tuple(finite),
        smoothed_losses=tuple(smoothed),
        suggestion=suggest(tested, smoothed),
        default_rate=plan.config.learning_rate,
    )


def _train(
    plan: TrainingPlan, setup: PhaseSetup, network: Network, rates: list[float]
) -> Iterator[float]:
    """Yield the loss of a batch with each learning rate, before the weights change."""
    model, weights = setup.model, plan.fit_class_weights
    batches = read_batches(plan, setup, len(rates)).as_numpy_iterator()
    for rate, (images, labels) in zip(rates, islice(batches, len(rates)), strict=True):
        inputs: Any = images
        if plan.reads_features(setup.phase):
            assert network.extractor is not None  # the plan has checked that
            inputs = network.extractor.predict_on_batch(images)
        model.optimizer.learning_rate = rate
        model.reset_metrics()
        logs = model.train_on_batch(inputs, labels, class_weight=weights, return_dict=True)
        yield float(logs["loss"])
