"""Default options of each kind of model and mode, in one table.

An option that the user does not give has the value of this table.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from trainers.options import Augmentation, Mode, Schedule

Kind = Literal["cnn", "cnn-bn", "application", "custom"]
"""The kinds of models; each model in `trainers.models.built_in` names its kind."""
HEAD_LEARNING_RATE = 1e-3
LORA_LEARNING_RATE = 1e-3


class Defaults(NamedTuple):
    """The default options of a kind of model in a mode.

    Attributes:
        batch_size: the number of images per step.
        schedule: the schedule of the learning rate.
        learning_rate: the highest learning rate; None means `rate_factor` times that of the model.
        rate_factor: the factor of the learning rate of the model, which is that of training from
            scratch.
        augment: the random changes of training images.
    """

    batch_size: int
    schedule: Schedule
    learning_rate: float | None = None
    rate_factor: float = 1.0
    augment: Augmentation = Augmentation()

    def rate(self, of_model: float) -> float:
        """Return the learning rate for a model, whose rate from scratch is given."""
        return self.rate_factor * of_model if self.learning_rate is None else self.learning_rate


# fmt: off
DEFAULTS: dict[tuple[Kind, Mode], Defaults] = {
    ("cnn", "scratch"):          Defaults(32, "one-cycle"),
    # Two of 28 pixels: it keeps every digit readable.
    ("cnn-bn", "scratch"):       Defaults(64, "cosine", augment=Augmentation(shift=0.07)),
    ("application", "scratch"):  Defaults(32, "one-cycle"),
    ("application", "transfer"): Defaults(32, "cosine", HEAD_LEARNING_RATE),
    ("application", "finetune"): Defaults(32, "one-cycle", rate_factor=0.1),
    # Its callbacks may set the learning rate, which Keras refuses with a schedule.
    ("custom", "scratch"):       Defaults(32, "constant"),
}
# fmt: on


def find_defaults(kind: Kind, mode: Mode) -> Defaults:
    """Return the defaults of a kind of model; of a mode that it does not have, those of scratch."""
    return DEFAULTS.get((kind, mode), DEFAULTS[kind, "scratch"])
