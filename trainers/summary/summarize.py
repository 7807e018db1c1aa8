"""Summary of a training plan, from a network with random weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainers.backend import check_batch_size, start_backend
from trainers.summary.summary import GroupSummary, LayerSummary, PhaseSummary, TrainingSummary

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trainers.models.build import Network
    from trainers.training.planning import TrainingPlan
    from trainers.training.planning.phases import Phase


def summarize_training(plan: TrainingPlan) -> TrainingSummary:
    """Return the summary of a plan; builds the network, but reads no image and no weights.

    Raises:
        UsageError: `unfreeze` or `unfreeze_epochs` does not fit the model, the GPUs cannot share a
            batch of this size, or the builder of a registered model fails.
    """
    backend = start_backend()

    # These modules import Keras, so the backend must be started first.
    from trainers.models.build import build_network
    from trainers.models.freezing import count_parameters, prepare_groups
    from trainers.summary.memory import count_weights, list_layers, output_shape
    from trainers.training.compile import set_precision

    options, shape = plan.config.options, plan.config.shape
    check_batch_size(options.batch_size, backend, validation_images=plan.validation.records)
    precision = set_precision(options.precision, backend)
    network = build_network(plan.config.architecture)
    prepare_groups(network, options)
    phases = tuple(_summarize_phase(plan, network, phase) for phase in plan.phases)
    parameters, trained_parameters = count_parameters(network)
    return TrainingSummary(
        model=options.model,
        mode=options.mode,
        height_px=shape.height_px,
        width_px=shape.width_px,
        channels=shape.channels,
        precision=precision,
        training_images=plan.training.records,
        validation_images=plan.validation.records,
        batch_size=options.batch_size,
        epoch_steps=plan.epoch_steps,
        epochs=plan.epochs,
        steps=plan.phases[-1].end_step,
        parameters=parameters,
        trained_parameters=trained_parameters,
        phases=phases,
        groups=tuple(_summarize_groups(plan, network)),
        layers=tuple(
            LayerSummary(
                name=layer.name,
                kind=type(layer).__name__,
                output_shape=output_shape(layer),
                parameters=count_weights(layer),
                trained_parameters=count_weights(layer, trained=True),
            )
            for layer in list_layers(network.model)
        ),
    )


def _summarize_phase(plan: TrainingPlan, network: Network, phase: Phase) -> PhaseSummary:
    from trainers.summary.memory import count_weights, estimate_memory, output_bytes
    from trainers.training.phase_setup import compile_phase_model

    options = plan.config.options
    model, _ = compile_phase_model(plan, network, phase, options)
    reads_features = plan.reads_features(phase)
    if reads_features:
        assert network.extractor is not None
        input_bytes = output_bytes(network.extractor)
    else:
        input_bytes = plan.config.shape.size_bytes
    return PhaseSummary(
        trainable=phase.trainable,
        first_epoch=phase.first_step // plan.epoch_steps + 1,
        steps=phase.end_step - phase.first_step,
        learning_rate=phase.learning_rate,
        reads_features=reads_features,
        trained_parameters=count_weights(model, trained=True),
        memory=estimate_memory(
            model,
            network.model,
            batch_size=min(options.batch_size, plan.training.records),
            input_bytes=input_bytes,
        ),
    )


def _summarize_groups(plan: TrainingPlan, network: Network) -> Iterator[GroupSummary]:
    """Yield the groups of layers that fine-tuning trains, from the head on."""
    from trainers.models.freezing import count_groups, group_layers
    from trainers.summary.memory import count_weights

    options, rate = plan.config.options, plan.config.learning_rate
    if options.mode != "finetune":
        return
    assert network.head is not None  # every model with a backbone has a head
    head = [layer for layer in network.head.layers if layer.weights]
    groups = group_layers(network, options.unfreeze)
    for number, group in enumerate([head, *(each[::-1] for each in groups)]):
        first = next(
            phase
            for phase in plan.phases
            if number == 0
            or (phase.trainable == "unfrozen" and number <= count_groups(phase.part, len(groups)))
        )
        yield GroupSummary(
            first_layer=group[0].name,
            last_layer=group[-1].name,
            layers=len(group),
            parameters=sum(map(count_weights, group)),
            learning_rate=rate * (options.layer_decay or 1) ** number,
            first_epoch=first.first_step // plan.epoch_steps + 1,
        )
