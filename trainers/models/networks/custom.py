"""Networks of registered models."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import keras
from keras import layers

from records.errors import UsageError
from trainers.models.build import Network, with_features
from trainers.models.registry import find_model

if TYPE_CHECKING:
    from collections.abc import Callable

    from trainers.config import Architecture


def build(architecture: Architecture) -> Network:
    """Return the network from uint8 (batch, *shape) to float32 logits (batch, classes).

    Raises:
        UsageError: the builder fails, does not accept an option, or does not return a valid model.
    """
    custom = find_model(architecture.model).custom
    assert custom is not None
    shape, classes = architecture.shape.array_shape, architecture.classes
    options = _accepted_options(architecture, custom.builder)
    image = keras.Input(shape, dtype="uint8", name="image")
    try:
        model = custom.builder(image_shape=shape, classes=classes, **options)
        if not isinstance(model, keras.Model):
            raise TypeError(f"{type(model).__name__} is not a keras.Model")  # noqa: TRY301
        pixels = custom.preprocess(image) if custom.preprocess else image
        logits = model(pixels)
    except Exception as error:  # user code may raise any exception
        raise UsageError(
            f"the builder of the model {architecture.model} failed",
            expected=f"a keras.Model for images of shape {shape}",
            got=f"{type(error).__name__}: {error}".partition("\n")[0],
            hint="see the traceback with `shardmill --verbose`",
        ) from error
    if tuple(getattr(logits, "shape", ())) != (None, classes):
        raise UsageError(
            f"the model {architecture.model} does not return logits",
            expected=f"one output of shape (batch, {classes})",
            got=str(getattr(logits, "shape", type(logits).__name__)),
        )
    if logits.dtype != "float32":
        logits = layers.Activation("linear", dtype="float32", name="logits_float32")(logits)
    inner = with_features(model)
    featured = None if inner is None else keras.Model(image, inner(pixels))
    return Network(keras.Model(image, logits, name="custom"), featured=featured)


def _accepted_options(architecture: Architecture, builder: Callable[..., Any]) -> dict[str, Any]:
    """Return the options that the user gave.

    Raises:
        UsageError: the builder has no parameter for an option.
    """
    given = {"dropout": architecture.dropout, "l2": architecture.l2 or None}
    options = {name: value for name, value in given.items() if value is not None}
    parameters = inspect.signature(builder).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return options
    for name in options.keys() - parameters.keys():
        raise UsageError(
            f"the builder of the model {architecture.model} has no parameter {name}",
            got=f"--{name}",
            hint=f"add the parameter to the builder, or omit --{name}",
        )
    return options
