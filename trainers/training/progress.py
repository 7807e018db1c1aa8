"""Progress of a run on stderr, as a bar or as lines."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Protocol

from tqdm import tqdm

from records.runtime.logging import is_terminal, log_line
from records.runtime.progress import progress_bar

if TYPE_CHECKING:
    from collections.abc import Callable

    from records.runtime.progress import Bar
    from trainers.runs.history import EpochMetrics

_SECONDS_BETWEEN_LINES = 60


class Progress(Protocol):
    """The interface of an object that is notified of the progress of a run."""

    def start(self, epochs: int, steps: int, *, epoch: int = 1) -> None:
        """Report the start of a run of `epochs` epochs, each of `steps` steps.

        A resumed run starts with a later epoch than 1.
        """

    def extract(self, done: int, total: int) -> None:
        """Report that the features of `done` of `total` images have been extracted."""

    def end_step(self, step: int, logs: dict[str, float]) -> None:
        """Report the end of step `step` of an epoch, and the metrics since the epoch began."""

    def end_epoch(self, result: EpochMetrics) -> None:
        """Report the result of an epoch."""


class NullProgress:
    """Reports nothing."""

    def start(self, epochs: int, steps: int, *, epoch: int = 1) -> None:
        """See `Progress.start`."""

    def extract(self, done: int, total: int) -> None:
        """See `Progress.extract`."""

    def end_step(self, step: int, logs: dict[str, float]) -> None:
        """See `Progress.end_step`."""

    def end_epoch(self, result: EpochMetrics) -> None:
        """See `Progress.end_epoch`."""


class EpochMessages(NullProgress):
    """Sends one line per epoch to a callback."""

    def __init__(self, on_message: Callable[[str], None]) -> None:
        self._on_message = on_message

    def start(self, epochs: int, steps: int, *, epoch: int = 1) -> None:  # noqa: ARG002
        """See `Progress.start`."""
        self._epochs = epochs

    def end_epoch(self, result: EpochMetrics) -> None:
        """See `Progress.end_epoch`."""
        self._on_message(_describe_epoch(result.epoch, self._epochs, str(result)))


def _describe_epoch(epoch: int, epochs: int, text: str) -> str:
    return f"epoch {epoch:{len(str(epochs))}}/{epochs}  {text}"


def _shown(logs: dict[str, float]) -> dict[str, str]:
    """Return the first metric of the task, and the loss."""
    first = next(name for name in logs if name != "loss")
    return {name: f"{logs[name]:.3f}" for name in (first, "loss")}


class EpochLogProgress(NullProgress):
    """Logs one line per epoch, and one line per minute within a long epoch."""

    _images: Bar | None = None

    def extract(self, done: int, total: int) -> None:
        """See `Progress.extract`."""
        if self._images is None:
            self._images = progress_bar("extracting features", unit="images", total=total)
        self._images.update(done - self._images.n)
        if done >= total:
            self._images.close()
            self._images = None

    def start(self, epochs: int, steps: int, *, epoch: int = 1) -> None:
        """See `Progress.start`."""
        self._epochs, self._steps = epochs, steps
        self._epoch = epoch
        self._logged_at = time.monotonic()

    def end_step(self, step: int, logs: dict[str, float]) -> None:
        """See `Progress.end_step`."""
        if time.monotonic() - self._logged_at >= _SECONDS_BETWEEN_LINES:
            metrics = "  ".join(f"{name} {value}" for name, value in _shown(logs).items())
            self._log(f"step {step:,}/{self._steps:,}  {metrics}")

    def end_epoch(self, result: EpochMetrics) -> None:
        """See `Progress.end_epoch`."""
        self._epoch = result.epoch
        self._log(str(result))
        self._epoch = result.epoch + 1

    def _log(self, text: str) -> None:
        self._logged_at = time.monotonic()
        log_line(_describe_epoch(self._epoch, self._epochs, text), epoch=self._epoch)


class EpochBar(EpochLogProgress):
    """Shows a bar of steps, and logs one line per epoch."""

    def start(self, epochs: int, steps: int, *, epoch: int = 1) -> None:
        """See `Progress.start`."""
        super().start(epochs, steps, epoch=epoch)
        self._bar: tqdm[Any] = tqdm(total=steps, unit="step", leave=False)

    def end_step(self, step: int, logs: dict[str, float]) -> None:
        """See `Progress.end_step`."""
        self._bar.set_postfix(_shown(logs), refresh=False)
        self._bar.update(step - self._bar.n)

    def end_epoch(self, result: EpochMetrics) -> None:
        """See `Progress.end_epoch`."""
        self._bar.clear()
        super().end_epoch(result)
        if result.epoch < self._epochs:
            self._bar.reset()
        else:
            self._bar.close()


def choose_progress(*, quiet: bool) -> Progress:
    """Return a reporter for stderr: silent if `quiet`, a bar on a terminal, otherwise lines."""
    if quiet:
        return NullProgress()
    return EpochBar() if is_terminal() else EpochLogProgress()
