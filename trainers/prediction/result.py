"""The prediction for an image, and for a file."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from records.text.escaping import escape_for_display
from trainers.options import NONE_OF_THESE

if TYPE_CHECKING:
    from records.images import Rejection

FilePath: TypeAlias = str | os.PathLike[str]
Pixels: TypeAlias = NDArray[np.uint8]


class ImageOutputs(NamedTuple):
    """The outputs of a model for an image.

    Attributes:
        scores: the probability of each class, float64 (classes,), or the value, float64 (1,).
        none_of_these: as in `Prediction`.
    """

    scores: NDArray[np.float64]
    none_of_these: bool | None = None


class ClassScore(msgspec.Struct, frozen=True):
    """A class and its probability, 0 to 1."""

    name: str = msgspec.field(name="class")
    label: int
    score: float

    def __repr__(self) -> str:
        return f"{escape_for_display(self.name)} {self.score:.1%}"


@dataclass(frozen=True)
class Prediction:
    """The predicted classes or value of an image, or the reason why there is no prediction.

    Attributes:
        top: the best classes, the highest score first; empty if the image is rejected.
        rejection: the reason why the image has no prediction; None if it has one.
        pixels: the input of the model, uint8 (height, width, channels); None if the image is
            rejected.
        chosen: the classes whose scores reach their thresholds, the highest score first, if the run
            predicts any number of labels per image; otherwise None.
        value: the predicted value in the unit of the target, if the run predicts a number;
            otherwise None.
        none_of_these: whether the image is below the threshold of rejection, so that no class is
            predicted; None without a threshold.
        activation: the class activation map of the best class, or of the value, float32 (height,
            width), 0 to 1, if it was requested; otherwise None.
    """

    top: tuple[ClassScore, ...] = ()
    rejection: Rejection | None = None
    pixels: Pixels | None = field(default=None, repr=False, compare=False)
    chosen: tuple[ClassScore, ...] | None = None
    value: float | None = None
    activation: NDArray[np.float32] | None = field(default=None, repr=False, compare=False)
    none_of_these: bool | None = None

    @property
    def predicted(self) -> tuple[ClassScore, ...]:
        """The predicted classes, the highest score first."""
        if self.none_of_these:
            return ()
        return self.top[:1] if self.chosen is None else self.chosen

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the predicted classes, the highest score first."""
        return tuple(each.name for each in self.predicted)

    @property
    def labels(self) -> tuple[int, ...]:
        """The labels of the predicted classes, the highest score first."""
        return tuple(each.label for each in self.predicted)

    @property
    def scores(self) -> tuple[float, ...]:
        """The probabilities of the predicted classes, the highest first."""
        return tuple(each.score for each in self.predicted)

    @property
    def class_name(self) -> str | None:
        """The name of the best class."""
        return self.top[0].name if self.top else None

    @property
    def label(self) -> int | None:
        """The label of the best class."""
        return self.top[0].label if self.top else None

    @property
    def score(self) -> float | None:
        """The probability of the best class."""
        return self.top[0].score if self.top else None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._describe()}>"

    def _describe(self) -> str:
        if self.rejection is not None:
            return f"rejected, {self.rejection.reason}: {self.rejection.detail}"
        if self.value is not None:
            return f"{self.value:.6g}"
        if self.chosen is None:
            best = ", ".join(map(repr, self.top))
            return f"{NONE_OF_THESE} (best: {best})" if self.none_of_these else best
        return ", ".join(map(repr, self.chosen)) or "no class"


@dataclass(frozen=True, repr=False)
class FilePrediction(Prediction):
    """The prediction for a file.

    Attributes:
        path: the path or URL as given; credentials in a URL are removed.
        truth: the true class, from the name of a folder, if it was requested, and the folder is a
            class of the model; otherwise None.
    """

    path: FilePath = ""
    truth: str | None = None

    @property
    def is_wrong(self) -> bool:
        """Whether the true class is known, and another class has the highest score."""
        return None not in {self.truth, self.class_name} and self.truth != self.class_name

    def _describe(self) -> str:
        truth = f" (is {escape_for_display(self.truth)})" if self.is_wrong and self.truth else ""
        return f"{escape_for_display(os.fspath(self.path))}: {super()._describe()}{truth}"
