"""Description of a model: network, accepted images, and defaults."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

    from trainers.defaults import Kind


@dataclass(frozen=True)
class CustomModel:
    """The Keras objects of a registered model; see `register_model`."""

    builder: Callable[..., Any]
    preprocess: Callable[[Any], Any] | None = None
    loss: Any = None
    metrics: tuple[Callable[[], Any], ...] = ()
    callbacks: tuple[Callable[[], Any], ...] = ()

    @property
    def reference(self) -> str:
        """Return the builder as `package.module:builder`."""
        return f"{self.builder.__module__}:{self.builder.__qualname__}"


@dataclass(frozen=True)
class ModelSpec:
    """A model that can be trained.

    Args:
        module: the module whose `build(architecture)` returns its `Network`.
        size_px: the default (height, width) of the input; see `trainers.input.image_size`.
        min_side_px: the smallest height and width of the input.
        learning_rate: the default learning rate of training from scratch with Adam, and with the
            schedule of its kind.
        kind: the kind of the model, which has a row of default options in `trainers.defaults`.
        channels: the number of channels of the input; None means 1 or 3, as in the dataset.
        application: the classifier in `keras.applications`, as `module.Class`; None for other
            models.
        custom: the arguments of `register_model`; None for a built-in model.
        preset: the preset of KerasHub: a folder, or a name or handle that KerasHub downloads; None
            for other models. `trainers.models.hub.preset` knows the size of its images.
    """

    module: str
    size_px: tuple[int, int]
    min_side_px: int
    learning_rate: float
    kind: Kind
    channels: Literal[1, 3] | None = None
    application: str | None = None
    custom: CustomModel | None = None
    preset: str | None = None

    @property
    def has_backbone(self) -> bool:
        """Return whether the model consists of a pretrained backbone and a head."""
        return self.application is not None or self.preset is not None

    @property
    def has_nested_layers(self) -> bool:
        """Return whether layers may contain layers, whose weights only Keras finds in a file."""
        return self.custom is not None or self.preset is not None
