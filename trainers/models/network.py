"""A network built from its architecture, with fresh weights; Keras is loaded here."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trainers.models.table import find_model

if TYPE_CHECKING:
    import keras

    from trainers.config import Architecture


@dataclass(frozen=True)
class Network:
    """A model, and the parts of one that has a base.

    Args:
        model: uint8 (batch, *shape) to float32 logits (batch, classes), uncompiled. It scales
            images itself, so that no caller can feed it otherwise than it was trained.
        base: the classifier of `keras.applications` without its top; None where there is none.
        extractor: uint8 (batch, *shape) to the base's pooled features (batch, features).
        head: features to logits.
    """

    model: keras.Model
    base: keras.Model | None = None
    extractor: keras.Model | None = None
    head: keras.Model | None = None


def build_network(architecture: Architecture) -> Network:
    """The network of an architecture, with random weights."""
    module = importlib.import_module(find_model(architecture.model).module)
    network: Network = module.build(architecture)
    return network
