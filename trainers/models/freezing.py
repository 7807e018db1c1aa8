"""The trainable layers of a network with a backbone, in groups."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING, Literal

import keras
from keras import layers as keras_layers

from records.errors import UsageError
from records.text.formatting import pluralize
from trainers.models.hub.lora import enable_lora, lora_layers, train_matrices

if TYPE_CHECKING:
    from trainers.models.build import Network
    from trainers.options import TrainOptions

_FIXED = keras_layers.BatchNormalization | keras_layers.Normalization
_UNUSED = {"mask_token"}
"""The names of weights that only the pretraining of a transformer uses."""
LayerCount = int | Literal["all"]
"""A number of layers at the end of `backbone.layers`, including pooling and activations."""


def freeze_backbone(network: Network) -> None:
    """Freeze the backbone, so that only the head trains."""
    _require_backbone(network).trainable = False


def unfreeze_backbone(network: Network, layers: LayerCount, part: Fraction = Fraction(1)) -> None:
    """Make the last layers of the backbone trainable, except for batch normalization.

    Batch normalization keeps its mean and variance. A few small batches would give worse estimates,
    which would spoil the features that all other layers compute.

    Args:
        network: a network with a backbone.
        layers: the number of layers, or `all`.
        part: the part of the groups of these layers that trains; see `count_groups`.

    Raises:
        UsageError: as `group_layers`.
    """
    backbone = _require_backbone(network)
    groups = group_layers(network, layers)
    chosen = groups[: count_groups(part, len(groups))]
    trained = {id(layer) for group in chosen for layer in group}
    backbone.trainable = True
    if any(lora_layers(backbone)):
        train_matrices(backbone)
        return
    for layer in list_blocks(backbone):
        layer.trainable = id(layer) in trained
        for inner in layer._flatten_layers(include_self=False):  # noqa: SLF001 # see list_blocks
            inner.trainable = inner.trainable and not isinstance(inner, _FIXED)
    for weight in backbone.weights:
        weight.trainable = weight.trainable and weight.name not in _UNUSED


def group_layers(network: Network, layers: LayerCount) -> list[list[keras.Layer]]:
    """Return the last layers of the backbone that can train in groups, the last group first.

    The outputs of the layers of a group have the same height and width: a group is a stage of the
    backbone. A layer with a smaller output than a layer after it, such as one of a
    squeeze-and-excitation block, belongs to the group of the later one. In a transformer, each
    block is a group, with a layer normalization after it. With LoRA, the adapted layers are the
    only group.

    Args:
        network: a network with a backbone.
        layers: the number of layers, or `all`.

    Raises:
        UsageError: the backbone has fewer layers than `layers`, or the last layers have no weights
            to train.
    """
    backbone = _require_backbone(network)
    if adapted := [*lora_layers(backbone)]:
        return [adapted]
    every = list_blocks(backbone)
    count = len(every) if layers == "all" else layers
    if count > len(every):
        raise UsageError(
            "the backbone has fewer layers than requested",
            expected=f"at most {len(every)}",
            got=count,
        )
    last = [layer for layer in every[: -count - 1 : -1] if _can_train(layer)]
    groups = _group_stages(last) if backbone.output.ndim == 4 else _group_blocks(last)
    if not groups:
        raise UsageError(
            f"no weights to train in the last {pluralize(count, 'layer')} of the backbone",
            hint=f"unfreeze at least {pluralize(_min_count(backbone), 'layer')}",
        )
    return groups


def list_blocks(backbone: keras.Model) -> list[keras.Layer]:
    """Return the layers of a backbone in order, and the blocks of an encoder instead of it."""
    found: list[keras.Layer] = []
    for layer in backbone.layers:
        if type(layer).__name__.endswith("Encoder"):
            # Keras has no other list of the layers in a layer.
            found += layer._flatten_layers(include_self=False, recursive=False)  # noqa: SLF001
        else:
            found.append(layer)
    return found


def _group_stages(last: list[keras.Layer]) -> list[list[keras.Layer]]:
    groups: list[list[keras.Layer]] = []
    most_pixels = 0
    for layer in last:
        pixels = _count_pixels(layer)
        if pixels > most_pixels:
            groups.append([])
            most_pixels = pixels
        groups[-1].append(layer)
    return groups


def _group_blocks(last: list[keras.Layer]) -> list[list[keras.Layer]]:
    groups: list[list[keras.Layer]] = []
    is_complete = True
    for layer in last:
        if is_complete:
            groups.append([])
        groups[-1].append(layer)
        is_complete = not isinstance(layer, keras_layers.LayerNormalization)
    return groups


def count_groups(part: Fraction, groups: int) -> int:
    """Return the number of groups that train in a phase, at least one."""
    return max(math.floor(part * groups), 1)


def prepare_groups(network: Network, options: TrainOptions) -> None:
    """Enable LoRA if requested; check that the options of fine-tuning fit the backbone.

    Raises:
        UsageError: as `group_layers` or `enable_lora`, or one group cannot be unfrozen gradually.
    """
    if options.mode != "finetune":
        return
    if options.lora is not None:
        enable_lora(_require_backbone(network), options.lora)
    groups = group_layers(network, options.unfreeze)
    if options.unfreeze_epochs and len(groups) == 1:
        raise UsageError(
            "the layers to unfreeze are one group, which cannot be unfrozen gradually",
            got=f"--unfreeze-epochs {options.unfreeze_epochs} with --unfreeze {options.unfreeze}",
            hint="omit --unfreeze-epochs, or unfreeze more layers",
        )


def find_rate_factors(network: Network, options: TrainOptions) -> dict[int, float] | None:
    """Return factors of the learning rate, by the id of the weight; None if all are 1.

    The weights of the head, which the result does not contain, have the factor 1.
    """
    decay = options.layer_decay
    if decay is None:
        return None
    groups = group_layers(network, options.unfreeze)
    return {
        id(weight): decay**number
        for number, group in enumerate(groups, 1)
        for layer in group
        for weight in layer.weights
    }


def count_parameters(network: Network) -> tuple[int, int]:
    """Return the number of all parameters, and the number of trainable parameters."""
    model = network.model
    trained = sum(math.prod(weight.shape) for weight in model.trainable_weights)
    return model.count_params(), trained


def _require_backbone(network: Network) -> keras.Model:
    if network.backbone is None:
        raise UsageError(f"the model {network.model.name} has no backbone to freeze")
    return network.backbone


def _can_train(layer: keras.Layer) -> bool:
    return bool(layer.weights) and not isinstance(layer, _FIXED)


def _count_pixels(layer: keras.Layer) -> int:
    """Return the height times the width of the output of a layer; 1 if it has neither."""
    output = keras.tree.flatten(layer.output)[0]
    return math.prod(output.shape[1:-1])


def _min_count(backbone: keras.Model) -> int:
    places = enumerate(reversed(list_blocks(backbone)), start=1)
    return next(place for place, layer in places if _can_train(layer))
