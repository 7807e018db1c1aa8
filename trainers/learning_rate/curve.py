"""Curve of a range test: the loss by learning rate."""

from __future__ import annotations

import msgspec

from records.text.csv_rows import encode_csv_row
from records.text.formatting import pluralize

_SMOOTHING = 0.9


class LearningRateCurve(msgspec.Struct, frozen=True):
    """The result of a range test.

    Attributes:
        model: the name of the model.
        mode: `scratch`, `transfer` or `finetune`.
        optimizer: the name of the optimizer.
        rates: the learning rate of each step, increasing.
        losses: the loss of the batch of each step, before its update.
        smoothed_losses: the losses as a moving average.
        suggestion: the learning rate in the middle of the longest fall of the loss; None if the
            loss does not fall.
        default_rate: the learning rate that the run would have without the option.
    """

    model: str
    mode: str
    optimizer: str
    rates: tuple[float, ...]
    losses: tuple[float, ...]
    smoothed_losses: tuple[float, ...]
    suggestion: float | None
    default_rate: float

    def lines(self) -> list[str]:
        """Return the suggestion, and the range of the test."""
        steps = pluralize(len(self.rates), "step")
        tested = f"tested {self.rates[0]:.1g} to {self.rates[-1]:.1g} in {steps}"
        if self.suggestion is None:
            return [f"{tested}: the loss does not fall, so there is no suggestion"]
        return [
            tested,
            f"suggestion: --learning-rate {self.suggestion:.1g} instead of {self.default_rate:g}",
        ]

    def to_csv(self) -> bytes:
        """Return a table with the columns `learning_rate`, `loss` and `smoothed_loss`."""
        rows = zip(self.rates, self.losses, self.smoothed_losses, strict=True)
        header = encode_csv_row(("learning_rate", "loss", "smoothed_loss"))
        return header + b"".join(map(encode_csv_row, rows))

    def __repr__(self) -> str:
        return "\n".join(self.lines())


def smooth(losses: list[float]) -> list[float]:
    """Return the exponential moving average of losses, without a bias to 0 at the start."""
    average, smoothed = 0.0, []
    for number, loss in enumerate(losses, 1):
        average = _SMOOTHING * average + (1 - _SMOOTHING) * loss
        smoothed.append(average / (1 - _SMOOTHING**number))
    return smoothed


def suggest(rates: list[float], smoothed: list[float]) -> float | None:
    """Return the rate in the middle of the longest fall; None if the loss never falls.

    The longest fall is the longest sequence of steps, not necessarily adjacent, in which each loss
    is lower than the one before, as in fast.ai. The suggestion is two thirds along this sequence.
    """
    longest = [1] * len(smoothed)
    for place, loss in enumerate(smoothed):
        for before in range(place):
            if loss < smoothed[before]:
                longest[place] = max(longest[place], longest[before] + 1)
    if max(longest, default=1) == 1:
        return None
    end = longest.index(max(longest))
    start = end - longest[end]
    third = (end - start) / 3
    return rates[max(start, 0) + int(third) + int(third / 2)]
