"""The trainable layers of a network with a backbone."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from keras import layers as keras_layers

from records.errors import UsageError
from records.text.formatting import pluralize

if TYPE_CHECKING:
    import keras

    from trainers.models.build import Network


def freeze_backbone(network: Network) -> None:
    """Freeze the backbone, so that only the head trains."""
    _require_backbone(network).trainable = False


def unfreeze_backbone(network: Network, layers: int | Literal["all"]) -> None:
    """Make the last layers of the backbone trainable, except for batch normalization.

    Batch normalization keeps its mean and variance. A few small batches would give worse estimates,
    which would spoil the features that all other layers compute.

    Args:
        network: a network with a backbone.
        layers: the number of layers, counted from the end of `backbone.layers`, including pooling
            and activations; or `all`.

    Raises:
        UsageError: the backbone has fewer layers than `layers`, or the last layers have no weights
            to train.
    """
    backbone = _require_backbone(network)
    count = len(backbone.layers) if layers == "all" else layers
    if count > len(backbone.layers):
        raise UsageError(
            "the backbone has fewer layers than requested",
            expected=f"at most {len(backbone.layers)}",
            got=count,
        )
    backbone.trainable = True
    for place, layer in enumerate(reversed(backbone.layers)):
        layer.trainable = place < count and _may_be_trained(layer)
    if not backbone.trainable_weights:
        raise UsageError(
            f"no weights to train in the last {pluralize(count, 'layer')} of the backbone",
            hint=f"unfreeze at least {pluralize(_min_count(backbone), 'layer')}",
        )


def count_parameters(network: Network) -> tuple[int, int]:
    """Return the number of all parameters, and the number of trainable parameters."""
    model = network.model
    trained = sum(math.prod(weight.shape) for weight in model.trainable_weights)
    return model.count_params(), trained


def _require_backbone(network: Network) -> keras.Model:
    if network.backbone is None:
        raise UsageError(f"the model {network.model.name} has no backbone to freeze")
    return network.backbone


def _may_be_trained(layer: keras.Layer) -> bool:
    return not isinstance(layer, keras_layers.BatchNormalization)


def _min_count(backbone: keras.Model) -> int:
    places = enumerate(reversed(backbone.layers), start=1)
    return next(place for place, layer in places if layer.weights and _may_be_trained(layer))
