"""Which weights of a network with a base are trained."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from keras import layers as keras_layers

from records.errors import UsageError

if TYPE_CHECKING:
    import keras

    from trainers.models.build import Network


def freeze_base(network: Network) -> None:
    """Leave all of the base as it is: only the head is trained."""
    _base(network).trainable = False


def unfreeze_base(network: Network, layers: int | Literal["all"]) -> None:
    """Train the base's last layers as well, but never its batch normalizations.

    Those keep the mean and variance they were trained with: a few small batches would replace them
    by worse ones, and with them what all other layers learned.

    Args:
        network: with a base.
        layers: how many of `base.layers`, counted from the last, pooling and activations included;
            or `all`.

    Raises:
        UsageError: the base has not that many, or none of them has anything to train.
    """
    base = _base(network)
    count = len(base.layers) if layers == "all" else layers
    if count > len(base.layers):
        raise UsageError(
            "the base has fewer layers than are to be trained",
            expected=f"at most {len(base.layers)}",
            got=count,
        )
    base.trainable = True
    for place, layer in enumerate(reversed(base.layers)):
        layer.trainable = place < count and _may_be_trained(layer)
    if not base.trainable_weights:
        raise UsageError(
            f"the last {count} layers of the base have no weights to train",
            hint=f"unfreeze at least {_least_count(base)}",
        )


def count_parameters(network: Network) -> tuple[int, int]:
    """The numbers in all of a network's weights, and in those that are trained now."""
    model = network.model
    trained = sum(math.prod(weight.shape) for weight in model.trainable_weights)
    return model.count_params(), trained


def _base(network: Network) -> keras.Model:
    if network.base is None:
        raise UsageError(f"the model {network.model.name} has no base to freeze")
    return network.base


def _may_be_trained(layer: keras.Layer) -> bool:
    return not isinstance(layer, keras_layers.BatchNormalization)


def _least_count(base: keras.Model) -> int:
    places = enumerate(reversed(base.layers), start=1)
    return next(place for place, layer in places if layer.weights and _may_be_trained(layer))
