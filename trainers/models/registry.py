"""Models by name: the built-in models, and models that a user registers.

Importing this module does not load Keras. User code runs only if the user names the code: with
`register_model`, with `package.module:builder`, or by installing a package that has an entry point
in the group `shardmill.models`. A run folder contains the name of a model, but no code.
"""

from __future__ import annotations

import difflib
import importlib
import re
import sys
from importlib.metadata import entry_points
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from records.errors import UsageError
from trainers.backend import start_backend
from trainers.models.built_in import MODELS
from trainers.models.spec import CustomModel, ModelSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trainers.runs.run_dir import Run

ENTRY_POINTS = "shardmill.models"
_NAME = re.compile(r"[\w.-]+")
_REFERENCE = re.compile(r"[\w.]+:[\w.]+")
_HINT = (
    "for a model of your own, pass --model package.module:builder, or call "
    "shardmill.register_model first"
)
HUB_PREFIX = "keras-hub:"
"""The prefix of models whose backbone is a preset of KerasHub, as in `keras-hub:FOLDER`."""
_KINDS = "cnn, cnn-512, cnn-bn or a classifier of keras.applications, such as inception_v3"

REGISTERED: dict[str, ModelSpec] = {}


def register_model(
    name: str,
    builder: Callable[..., Any],
    *,
    image_size: tuple[int, int] = (224, 224),
    min_side_px: int = 1,
    channels: Literal[1, 3] | None = None,
    learning_rate: float = 1e-3,
    preprocess: Callable[[Any], Any] | None = None,
    loss: Any = None,
    metrics: Sequence[Callable[[], Any]] = (),
    callbacks: Sequence[Callable[[], Any]] = (),
) -> None:
    """Make a Keras model available by name to `train`, and to all commands that use its runs.

    Registering a name again replaces the model, for example when a notebook cell runs again.

    Args:
        name: the model name, of letters, digits, `_`, `.` and `-`. A run stores the name, but
            no code of the model.
        builder: `builder(image_shape=(height, width, channels), classes=n)` returns a
            `keras.Model` from uint8 images (batch, height, width, channels) to logits
            (batch, classes); for a target, `classes` is 1. If it also has parameters `dropout` and
            `l2`, it receives these options of `train` if the user gives them.
        image_size: the default (height, width) of the input in pixels. It applies if
            neither the user nor `convert --resize` gives a size, and the images of the dataset are
            larger or differ in size.
        min_side_px: the smallest height and width of the input.
        channels: the number of channels of the input; None means 1 or 3, as in the dataset.
        learning_rate: the default learning rate.
        preprocess: a function that maps uint8 images to the input of the model, of any dtype, with
            Keras operations. None means the attribute `preprocess` of the builder, if it has one.
        loss: a loss of integer labels (batch,) and logits (batch, classes), for
            `keras.Model.compile`; None means the loss of the task. For a target, both have its
            unit: values (batch,) and predictions (batch, 1).
        metrics: functions without arguments that return a `keras.metrics.Metric` of labels and
            logits; their results become columns of `history.csv`. Variables and results may have
            any shape.
        callbacks: functions without arguments that return a `keras.callbacks.Callback`. A run may
            call `fit` several times, and `fit` calls `on_train_begin` and `on_train_end` each time.
            Checkpoints do not contain the state of callbacks.

    Raises:
        UsageError: the name is invalid, or a built-in model has it.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            "invalid model name", expected="letters, digits, _, . and -", got=repr(name)
        )
    if name in MODELS:
        raise UsageError("a built-in model has this name", got=repr(name))
    custom = CustomModel(
        builder,
        preprocess or getattr(builder, "preprocess", None),
        loss,
        tuple(metrics),
        tuple(callbacks),
    )
    REGISTERED[name] = ModelSpec(
        "trainers.models.networks.custom",
        image_size,
        min_side_px,
        learning_rate,
        "custom",
        channels=channels,
        custom=custom,
    )


def find_model(name: str) -> ModelSpec:
    """Return the model with this name.

    Raises:
        UsageError: no model has this name; the message contains similar names.
    """
    if is_preset(name):
        return _hub(name.removeprefix(HUB_PREFIX))
    if name not in MODELS and name not in REGISTERED:
        _load_entry_point(name)
    found = MODELS.get(name) or REGISTERED.get(name)
    if found is None:
        near = difflib.get_close_matches(name.lower(), [*MODELS, *REGISTERED])
        raise UsageError(
            "unknown model", expected=" or ".join(near) or _KINDS, got=repr(name), hint=_HINT
        )
    return found


def _hub(preset: str) -> ModelSpec:
    if not preset or not preset.isprintable():
        raise UsageError(
            "no preset of KerasHub", expected="keras-hub: and a printable name", got=repr(preset)
        )
    # Like other deep networks without batch normalization, transformers use 1e-4 from scratch.
    module, side_px = "trainers.models.hub.network", 224
    return ModelSpec(module, (side_px, side_px), 1, 1e-4, "application", channels=3, preset=preset)


def is_preset(model: str) -> bool:
    """Return whether the backbone of a model is a preset of KerasHub."""
    return model.startswith(HUB_PREFIX)


def is_registered(name: str) -> bool:
    """Return whether a model has this name, without loading entry points."""
    return name in MODELS or name in REGISTERED or is_preset(name)


def is_reference(model: str) -> bool:
    """Return whether a model is named as `package.module:builder`."""
    return _REFERENCE.fullmatch(model) is not None


def resolve_model(model: str, name: str | None = None) -> str:
    """Return the name of a model that may be given as `package.module:builder`.

    A reference is imported. If its module calls `register_model` with the builder, the result is
    the registered name, otherwise the reference.

    Args:
        model: a name or a reference.
        name: the name of the model in an existing run; the reference then provides this model.

    Raises:
        UsageError: the name is unknown, or the reference cannot be imported.
    """
    if not is_reference(model):
        find_model(model)
        return model
    builder = _import_builder(model)
    registered = [key for key, spec in REGISTERED.items() if _builder_of(spec) is builder]
    chosen = name or (registered[-1] if registered else model)
    if chosen in MODELS:
        raise UsageError(
            f"this run has the built-in model {chosen}",
            got=f"--model {model}",
            hint="omit --model",
        )
    if chosen not in registered:
        if not registered:
            register_model("_", builder)
        REGISTERED[chosen] = REGISTERED[registered[-1]] if registered else REGISTERED.pop("_")
    return chosen


def require_model(run: Run, reference: str | None = None) -> None:
    """Check that the model of a run is registered, or register it from `package.module:builder`.

    Raises:
        UsageError: the model is not registered, or the reference cannot be imported.
    """
    name = run.config.architecture.model
    if reference is None:
        try:
            find_model(name)
        except UsageError as error:
            error.what, error.expected = "the model of this run is not registered", None
            error.path = run.location
            raise
    elif is_reference(reference):
        resolve_model(reference, name)
    else:
        raise UsageError("invalid --model", expected="package.module:builder", got=repr(reference))


def _builder_of(spec: ModelSpec) -> Callable[..., Any] | None:
    return spec.custom.builder if spec.custom else None


def _import_builder(reference: str) -> Callable[..., Any]:
    module, _, attribute = reference.partition(":")
    start_backend()  # before the module imports Keras, so that Keras is quiet and uses the GPU
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))
    try:
        imported = importlib.import_module(module)
    except Exception as error:  # user code may raise any exception
        raise UsageError(
            f"--model {reference} cannot be imported",
            got=f"{type(error).__name__}: {error}",
            hint=f"check that `python -c 'import {module}'` works",
        ) from error
    try:
        builder: Any = attrgetter(attribute)(imported)
    except AttributeError as error:
        alike = difflib.get_close_matches(attribute, dir(imported), n=1)
        raise UsageError(
            f"the module {module} has no builder of this name",
            got=attribute,
            hint=f"did you mean --model {module}:{alike[0]}?" if alike else None,
        ) from error
    if not callable(builder):
        raise UsageError(
            f"--model {reference} is not a builder",
            expected="a function that returns a keras.Model",
            got=type(builder).__name__,
        )
    return builder  # type: ignore[no-any-return]


def _load_entry_point(name: str) -> None:
    for found in entry_points(group=ENTRY_POINTS, name=name):
        start_backend()
        builder = found.load()
        if name not in REGISTERED:  # its module may have registered it
            register_model(name, builder)
