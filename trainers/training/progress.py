"""How a training is told on stderr: a bar on a terminal, a line an epoch in a log, or nothing."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Protocol

from tqdm import tqdm

from records.runtime.logging import is_terminal, log_line
from records.runtime.progress import progress_bar

if TYPE_CHECKING:
    from records.runtime.progress import Bar
    from trainers.runs.history import EpochMetrics

_SECONDS_BETWEEN_LINES = 60


class Progress(Protocol):
    """What a training tells as it goes."""

    def start(self, epochs: int, steps: int) -> None:
        """It begins: so many epochs of so many steps."""

    def extract(self, done: int, total: int) -> None:
        """So many images have gone through a base, of so many."""

    def end_step(self, step: int, logs: dict[str, float]) -> None:
        """So many steps of the epoch have ended; `logs` are its accuracy and loss so far."""

    def end_epoch(self, result: EpochMetrics) -> None:
        """An epoch has ended."""


class NullProgress:
    """Tells nothing."""

    def start(self, epochs: int, steps: int) -> None:
        """See `Progress.start`."""

    def extract(self, done: int, total: int) -> None:
        """See `Progress.extract`."""

    def end_step(self, step: int, logs: dict[str, float]) -> None:
        """See `Progress.end_step`."""

    def end_epoch(self, result: EpochMetrics) -> None:
        """See `Progress.end_epoch`."""


class EpochLogProgress(NullProgress):
    """A line an epoch, and one a minute within a long one."""

    _images: Bar | None = None

    def extract(self, done: int, total: int) -> None:
        """See `Progress.extract`."""
        if self._images is None:
            self._images = progress_bar("extracting features", unit="images", total=total)
        self._images.update(done - self._images.n)
        if done >= total:
            self._images.close()
            self._images = None

    def start(self, epochs: int, steps: int) -> None:
        """See `Progress.start`."""
        self._epochs, self._steps = epochs, steps
        self._epoch = 1
        self._told = time.monotonic()

    def end_step(self, step: int, logs: dict[str, float]) -> None:
        """See `Progress.end_step`."""
        if time.monotonic() - self._told >= _SECONDS_BETWEEN_LINES:
            figures = f"accuracy {logs['accuracy']:.3f}  loss {logs['loss']:.3f}"
            self._tell(f"step {step:,}/{self._steps:,}  {figures}")

    def end_epoch(self, result: EpochMetrics) -> None:
        """See `Progress.end_epoch`."""
        self._tell(str(result))
        self._epoch = result.epoch + 1

    def _tell(self, text: str) -> None:
        self._told = time.monotonic()
        width = len(str(self._epochs))
        log_line(f"epoch {self._epoch:{width}}/{self._epochs}  {text}", epoch=self._epoch)


class EpochBar(EpochLogProgress):
    """A bar of steps, and its line once the epoch has ended."""

    def start(self, epochs: int, steps: int) -> None:
        """See `Progress.start`."""
        super().start(epochs, steps)
        self._bar: tqdm[Any] = tqdm(total=steps, unit="step", leave=False)

    def end_step(self, step: int, logs: dict[str, float]) -> None:
        """See `Progress.end_step`."""
        self._bar.set_postfix(
            accuracy=f"{logs['accuracy']:.3f}", loss=f"{logs['loss']:.3f}", refresh=False
        )
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
    """What fits where stderr goes."""
    if quiet:
        return NullProgress()
    return EpochBar() if is_terminal() else EpochLogProgress()
