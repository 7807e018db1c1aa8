"""Steps of a planned run that are tried and discarded."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from trainers.backend import check_batch_size, data_parallel, start_backend

if TYPE_CHECKING:
    from collections.abc import Iterator

    import tensorflow as tf

    from trainers.models.build import Network
    from trainers.options import TrainOptions
    from trainers.training.phase_setup import PhaseSetup
    from trainers.training.planning import TrainingPlan


@contextmanager
def trial_network(plan: TrainingPlan) -> Iterator[Network]:
    """Start the backend, and yield a network of a plan, with random weights.

    At the end of the block, Keras forgets the network.

    Raises:
        UsageError: the GPUs cannot share a batch of this size.
    """
    backend = start_backend()

    # These modules import Keras, so the backend must be started first.
    import keras

    from trainers.models.build import build_network
    from trainers.training.compile import set_precision

    options = plan.config.options
    check_batch_size(options.batch_size, backend, validation_images=plan.validation.records)
    set_precision(options.precision, backend)
    with data_parallel(backend):
        keras.utils.set_random_seed(options.seed)
        yield build_network(plan.config.architecture)
    keras.backend.clear_session()


def set_up_trial(plan: TrainingPlan, network: Network, options: TrainOptions) -> PhaseSetup:
    """Return the last phase of a plan, compiled with some options and reading images from shards.

    If the phase reads features, its model still maps features to logits.
    """
    from trainers.training.phase_setup import PhaseSetup, compile_phase_model, shard_source

    phase = plan.phases[-1]
    model, metrics = compile_phase_model(plan, network, phase, options, plan.class_weights)
    images = shard_source(plan).with_target(plan.target_column)
    return PhaseSetup(phase, model, metrics, images, crop=options.augment.crop)


def read_batches(plan: TrainingPlan, setup: PhaseSetup, steps: int) -> tf.data.Dataset:
    """Return the training batches of the first steps, images and labels; at least so many steps."""
    from trainers.input.shuffle import ShuffleSpec

    options = plan.config.options
    order = ShuffleSpec(options.seed, end_epoch=1 + steps // plan.epoch_steps)
    return setup.read_training(plan.training, options.batch_size, order)
