"""The models there are, as a table; nothing of Keras is loaded by reading it."""

from __future__ import annotations

from dataclasses import dataclass

from records.errors import UsageError


@dataclass(frozen=True)
class ModelSpec:
    """A model that can be trained.

    Args:
        module: the module whose `build(architecture)` returns its `Network`.
        size_px: (height, width) it is fed where neither the user nor the dataset has a say.
        least_side_px: the smallest height and width it works on.
        learning_rate: Adam's, to train it from scratch, where none is given.
        channels: what it must be fed; None is 1 or 3, as the dataset has them.
        application: the classifier's name in `keras.applications`, of a model that is one.
    """

    module: str
    size_px: tuple[int, int]
    least_side_px: int
    learning_rate: float
    channels: int | None = None
    application: str | None = None

    @property
    def has_base(self) -> bool:
        """Whether it is a base with weights of its own, and a head."""
        return self.application is not None


MODELS: dict[str, ModelSpec] = {
    "cnn": ModelSpec("trainers.models.cnn", (180, 180), least_side_px=8, learning_rate=1e-3),
}


def find_model(name: str) -> ModelSpec:
    """The model of that name. Raises UsageError, naming those there are."""
    if name not in MODELS:
        raise UsageError("there is no such model", expected=" or ".join(MODELS), got=repr(name))
    return MODELS[name]
