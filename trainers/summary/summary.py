"""Summary of a run as numbers, and as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from records.text.formatting import align, format_bytes, pluralize

if TYPE_CHECKING:
    from collections.abc import Iterator


class LayerSummary(msgspec.Struct, frozen=True):
    """A layer of a network.

    Attributes:
        name: the name of the layer.
        kind: the name of its class, such as `Conv2D`.
        output_shape: the shape of its output without the batch; None if it is not known.
        parameters: the number of its parameters.
        trained_parameters: the number of those that the last phase trains.
    """

    name: str
    kind: str
    output_shape: tuple[int, ...] | None
    parameters: int
    trained_parameters: int

    def row(self) -> tuple[str, ...]:
        """Return the cells of the layer in the table."""
        shape = "?" if self.output_shape is None else "x".join(map(str, self.output_shape))
        use = "trained" if self.trained_parameters else "frozen" if self.parameters else ""
        return self.name, self.kind, shape, f"{self.parameters:,}", use


class GroupSummary(msgspec.Struct, frozen=True):
    """A group of layers that fine-tuning trains with the same learning rate.

    Attributes:
        first_layer: the name of the first layer with weights to train.
        last_layer: the name of the last layer with weights to train.
        layers: the number of layers with weights to train.
        parameters: the number of their parameters.
        learning_rate: the learning rate after the head phase; with a schedule, the highest.
        first_epoch: the first epoch in which the group trains, from 1.
    """

    first_layer: str
    last_layer: str
    layers: int
    parameters: int
    learning_rate: float
    first_epoch: int

    def row(self) -> tuple[str, ...]:
        """Return the cells of the group in the table."""
        names = dict.fromkeys((self.first_layer, self.last_layer))
        counts = (f"{count:,}" for count in (self.layers, self.parameters))
        return " to ".join(names), *counts, f"{self.learning_rate:.3g}", f"{self.first_epoch:,}"


class MemoryEstimate(msgspec.Struct, frozen=True):
    """The estimated memory of a training step, in bytes; see `trainers.summary.memory`.

    Attributes:
        weights_bytes: the size of all weights of the network.
        gradients_bytes: the size of the gradients of the trained weights.
        optimizer_bytes: the size of the state of the optimizer.
        activations_bytes: the size of the images of a batch and of the outputs of layers.
        total_bytes: the sum of these sizes.
    """

    weights_bytes: int
    gradients_bytes: int
    optimizer_bytes: int
    activations_bytes: int
    total_bytes: int

    def __str__(self) -> str:
        return (
            f"{format_bytes(self.total_bytes)}: weights {format_bytes(self.weights_bytes)}, "
            f"gradients {format_bytes(self.gradients_bytes)}, "
            f"optimizer {format_bytes(self.optimizer_bytes)}, "
            f"activations {format_bytes(self.activations_bytes)}"
        )


class PhaseSummary(msgspec.Struct, frozen=True):
    """A phase of a run.

    Attributes:
        trainable: the layers that are trained: `all`, `head`, or `unfrozen` (the head and layers of
            the backbone).
        first_epoch: the first epoch, from 1.
        steps: the number of steps.
        learning_rate: the learning rate; with a schedule, the highest.
        reads_features: whether the phase reads stored features instead of images.
        trained_parameters: the number of trained parameters.
        memory: the estimated memory of a step.
    """

    trainable: str
    first_epoch: int
    steps: int
    learning_rate: float
    reads_features: bool
    trained_parameters: int
    memory: MemoryEstimate


class SpeedEstimate(msgspec.Struct, frozen=True):
    """The speed of the last phase on this machine, measured by a few steps.

    Attributes:
        images_per_second: the number of training images per second; if the phase reads stored
            features, the number of images per second whose features are computed.
        of_features: whether the phase reads stored features.
        epoch_seconds: the time of an epoch of the phase in seconds, with its validation.
    """

    images_per_second: float
    of_features: bool
    epoch_seconds: float

    def __str__(self) -> str:
        computed = " to compute features" if self.of_features else ""
        return (
            f"{_round(self.images_per_second)} images/s{computed}, "
            f"{_round(self.epoch_seconds)} s per epoch"
        )


def _round(number: float) -> str:
    return f"{number:,.1f}" if number < 10 else f"{number:,.0f}"


class TrainingSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A planned run: its network, its images and steps, the memory of a step, and the speed.

    Attributes:
        model: the name of the model.
        mode: `scratch`, `transfer` or `finetune`.
        height_px: the height of the input.
        width_px: the width of the input.
        channels: the number of channels of the input.
        precision: the dtype policy of Keras.
        training_images: the number of training images.
        validation_images: the number of validation images.
        batch_size: the number of images per step.
        epoch_steps: the number of steps per epoch.
        epochs: the number of epochs of all phases; the last may be incomplete.
        steps: the number of steps of all phases.
        parameters: the number of parameters of the network.
        trained_parameters: the number of those that the last phase trains.
        phases: the phases of the run, in order.
        groups: the groups of layers that `finetune` trains, from the head to the first layers of
            the backbone; empty in other modes.
        layers: the layers of the network, in order, without its input.
        speed: the speed of the last phase; None if it is not measured.
    """

    model: str
    mode: str
    height_px: int
    width_px: int
    channels: int
    precision: str
    training_images: int
    validation_images: int
    batch_size: int
    epoch_steps: int
    epochs: int
    steps: int
    parameters: int
    trained_parameters: int
    phases: tuple[PhaseSummary, ...]
    groups: tuple[GroupSummary, ...]
    layers: tuple[LayerSummary, ...]
    speed: SpeedEstimate | None = None

    def lines(self) -> list[str]:
        """Return a table of the layers, and lines about the parameters, the steps and memory."""
        rows: list[tuple[str, ...]] = [("layer", "kind", "output", "parameters", "")]
        rows += [layer.row() for layer in self.layers]
        images, steps = pluralize(self.training_images, "image"), pluralize(self.steps, "step")
        epoch_steps, epochs = pluralize(self.epoch_steps, "step"), pluralize(self.epochs, "epoch")
        return [
            *align(rows, right="  >>"),
            f"parameters: {self.parameters:,}, of which {self.trained_parameters:,} are trained",
            f"{images}: {epoch_steps} per epoch, {epochs}, {steps}",
            *self._describe_groups(),
            *self._describe_memory(),
            *([] if self.speed is None else [f"speed on this machine, about {self.speed}"]),
        ]

    def _describe_groups(self) -> list[str]:
        """Return a table of the groups of layers that train; no line without groups."""
        head = ("group of layers", "layers", "parameters", "learning rate", "from epoch")
        rows = [group.row() for group in self.groups]
        return align([head, *rows], right=" >>>>") if rows else []

    def _describe_memory(self) -> Iterator[str]:
        images = pluralize(min(self.batch_size, self.training_images), "image")
        for phase in self.phases:
            name = f" of the phase {phase.trainable} from epoch {phase.first_epoch:,}"
            of_phase = name if len(self.phases) > 1 else ""
            yield f"memory of a step{of_phase} with {images}, about {phase.memory}"

    def __repr__(self) -> str:
        return "\n".join(self.lines())
