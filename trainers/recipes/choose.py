"""Choices of a recipe that do not depend on time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from records.text.escaping import escape_for_display
from records.text.formatting import format_bytes
from trainers.augment.spec import format_augmentation, parse_augmentation
from trainers.models import is_reference
from trainers.models.catalog import FIGURES
from trainers.models.registry import find_model
from trainers.options import Augmentation, RecipeName, TrainOptions
from trainers.training.planning.option_checks import complete_options, reads_features

if TYPE_CHECKING:
    from trainers.recipes.facts import Facts

_SMALL_SIDE_PX = 64
"""The largest side of images that a pretrained backbone would only enlarge."""
_MEMORY_BYTES = 1 << 29


class Epochs(NamedTuple):
    """Numbers of epochs.

    Attributes:
        planned: the number of epochs without a time.
        most: the largest number of epochs that a time is used for.
    """

    planned: int
    most: int


class Recipe(NamedTuple):
    """The settings of a recipe.

    Attributes:
        most_parameters: the largest number of parameters of a pretrained model.
        is_finetuned: whether a pretrained model is fine-tuned also without a time.
        head_epochs: the number of epochs of the head before fine-tuning.
        epochs: the numbers of epochs by mode.
        augment_photos: the augmentation of photos.
        augment_small: the augmentation of small images, which may be digits or letters.
    """

    most_parameters: int
    is_finetuned: bool
    head_epochs: int
    epochs: dict[str, Epochs]
    augment_photos: str
    augment_small: str


SETTINGS: dict[RecipeName, Recipe] = {
    "fast": Recipe(
        most_parameters=6_000_000,
        is_finetuned=False,
        head_epochs=10,
        epochs={"scratch": Epochs(10, 30), "transfer": Epochs(30, 30), "finetune": Epochs(4, 8)},
        augment_photos="flip",
        augment_small="shift=0.07",
    ),
    "accurate": Recipe(
        most_parameters=30_000_000,
        is_finetuned=True,
        head_epochs=10,
        epochs={"scratch": Epochs(30, 90), "transfer": Epochs(30, 90), "finetune": Epochs(8, 24)},
        augment_photos="flip,zoom=0.2,shift=0.1",
        augment_small="rotate=10,zoom=0.1,shift=0.1",
    ),
}


class Choices:
    """The options of a run that a recipe completes; options that the user gave do not change.

    Args:
        options: the options of the user, and the defaults of the others.
        given: the names of the options that the user gave.
    """

    def __init__(self, options: TrainOptions, given: frozenset[str]) -> None:
        self.options, self.given = options, given
        self._lines: dict[str, str] = {}

    @property
    def reasons(self) -> tuple[str, ...]:
        """Return a line for each choice."""
        return tuple(self._lines.values())

    def note(self, name: str, line: str) -> None:
        """Keep a line that is not about an option; `name` is its key."""
        self._lines[name] = line

    def choose(self, name: str, value: Any, reason: str, *, shown: str | None = None) -> None:
        """Set an option that the user did not give, and keep the reason; `shown` is its value."""
        if name not in self.given:
            self.options = msgspec.structs.replace(self.options, **{name: value})
            label = name.replace("_", " ")
            self._lines[name] = f"{label} {value if shown is None else shown}: {reason}"

    def complete(self) -> None:
        """Give the other options the defaults of the model and the mode."""
        self.options = complete_options(self.options, {*self.given, *self._lines})


def choose_options(name: RecipeName, recipe: Recipe, facts: Facts, choices: Choices) -> None:
    """Choose all options except the number of epochs."""
    _choose_model(name, recipe, facts, choices)
    _choose_mode(recipe, facts, choices)
    is_small = max(facts.height_px, facts.width_px) <= _SMALL_SIDE_PX
    text = recipe.augment_small if is_small else recipe.augment_photos
    size = f"{facts.width_px}x{facts.height_px} px"
    if choices.options.mode == "transfer":
        choices.choose("augment", Augmentation(), "the head learns from stored features",
                       shown="none")  # fmt: skip
    else:
        reason = f"images of {size}" if is_small else f"photos of about {size}"
        augment = parse_augmentation(text)
        choices.choose("augment", augment, reason, shown=format_augmentation(augment))
    choices.complete()


def choose_cache(choices: Choices, decoded_bytes: int) -> None:
    """Keep decoded images in memory if they are few, and if they are read in several epochs."""
    options = choices.options
    from_features = options.mode == "transfer" and reads_features(options)
    if decoded_bytes <= _MEMORY_BYTES and options.augment.crop == 1 and not from_features:
        size = format_bytes(decoded_bytes)
        choices.choose("cache", "memory", f"{size} of decoded images")


def _choose_model(name: RecipeName, recipe: Recipe, facts: Facts, choices: Choices) -> None:
    if facts.weights_model is not None:
        weights = escape_for_display(str(choices.options.weights))
        choices.choose("model", facts.weights_model, f"the model of {weights}")
        return
    if choices.given & {"mode", "weights"} and _wants_backbone(choices.options):
        model = "mobilenet_v2" if name == "fast" else "efficientnet_v2_b2"
        found = _pick(name, recipe, facts) or model
        choices.choose("model", found, f"a pretrained model of the recipe {name}")
        return
    if max(facts.height_px, facts.width_px) <= _SMALL_SIDE_PX:
        reason = f"images of {facts.width_px}x{facts.height_px} px"
        choices.choose("model", "cnn-bn", reason)
        return
    picked = _pick(name, recipe, facts)
    if picked is None:
        reason = (
            "no pretrained weights on this machine, which give better results: pass --weights PATH,"
            " or --weights imagenet to download them"
        )
        choices.choose("model", "cnn", reason)
    else:
        choices.choose("model", picked, f"weights found at {facts.weights[picked]}")


def _wants_backbone(options: TrainOptions) -> bool:
    return options.mode != "scratch" or options.weights == "imagenet"


def _pick(name: RecipeName, recipe: Recipe, facts: Facts) -> str | None:
    """Return the model of the recipe among those with weights on this machine."""
    fitting = [
        model for model in facts.weights if FIGURES[model].parameters <= recipe.most_parameters
    ]
    if name == "fast":
        return min(fitting, key=lambda model: FIGURES[model].parameters, default=None)
    return max(fitting, key=lambda model: FIGURES[model].top_1_percent or 0, default=None)


def _choose_mode(recipe: Recipe, facts: Facts, choices: Choices) -> None:
    model = choices.options.model
    spec = None if is_reference(model) else find_model(model)
    weights = choices.options.weights
    if spec is None or not spec.has_backbone or weights == "none":
        choices.choose("mode", "scratch", "random weights")
    elif weights is None and model not in facts.weights and spec.preset is None:
        reason = "no pretrained weights on this machine: --weights imagenet downloads them"
        choices.choose("mode", "scratch", reason)
    elif recipe.is_finetuned:
        reason = "pretrained weights; first the head on stored features, then all layers"
        choices.choose("mode", "finetune", reason)
        choices.choose("head_epochs", recipe.head_epochs, "an epoch of stored features is short")
    else:
        choices.choose("mode", "transfer", "pretrained weights; the head on stored features")
