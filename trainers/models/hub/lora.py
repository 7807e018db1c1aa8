"""Low-rank adaptation (LoRA) of the attention layers of a backbone.

Keras adds two small matrices to a layer, whose product is added to the kernel. It saves the sum
(merged), so that the weights of a run need no LoRA. To resume, a checkpoint also has the kernels
and the matrices themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from records.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import keras


_MORE_NAMES = ("q_proj", "v_proj", "query_proj", "value_proj")
"""Names of layers of queries and values that KerasHub does not adapt by default, as in DINOv3."""


def enable_lora(backbone: keras.Model, rank: int) -> None:
    """Add matrices to the layers of the queries and of the values of all attention layers.

    They do not change the output: one of the two matrices of a layer is 0.

    Raises:
        UsageError: the backbone does not have these layers.
    """
    backbone.enable_lora(rank, [*backbone.default_lora_layer_names(), *_MORE_NAMES])
    if not any(lora_layers(backbone)):
        raise UsageError(
            f"{type(backbone).__name__} has no attention layers for LoRA",
            got=f"--lora {rank}",
            hint="omit --lora, or use a transformer, such as a ViT",
        )


def lora_layers(model: keras.Model) -> Iterator[keras.Layer]:
    """Yield the layers with matrices, in a fixed order."""
    for layer in model._flatten_layers():  # noqa: SLF001 # Keras has no other list of all layers
        if getattr(layer, "lora_enabled", False):
            yield layer


def lora_weights(model: keras.Model) -> list[keras.Variable]:
    """Return all weights of these layers: Keras would save their kernels merged."""
    return [weight for layer in lora_layers(model) for weight in layer.weights]


def train_matrices(backbone: keras.Model) -> None:
    """Make the matrices trainable, and all other weights of the backbone not."""
    backbone.trainable = True
    for weight in backbone.weights:
        weight.trainable = weight.name in {"lora_kernel_a", "lora_kernel_b"}
