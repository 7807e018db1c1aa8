"""Decision when a run must end earlier to end in time."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trainers.training.planning.phases import Phase

_FIRST_STEPS = 2  # they include the compilation of the step
_MIN_STEPS = 5
_VALIDATION_SHARE = 0.4
"""The time of a validation batch as a share of a training step, until one has been measured."""
_USED_SHARE = 0.93
_TOLERANCE = 0.02


class EndsEarlier(Exception):  # noqa: N818 - not an error
    """Raised before a step to leave Keras fit: the last phase must end earlier."""

    def __init__(self, end_step: int) -> None:
        super().__init__(end_step)
        self.end_step = end_step

    def describe(self, planned: Phase) -> str:
        """Return the line for the user, given the phase as it was planned."""
        return (
            f"slower than planned: to end in time, the run ends after step {self.end_step:,} "
            f"instead of {planned.end_step:,}, with a shorter schedule of the learning rate"
        )


class TimeLimit:
    """Measures the pace of the last phase of a run, and finds an earlier end if it is too slow.

    Args:
        limit_s: the time for the run in seconds; None means no limit.
        epoch_steps: the number of steps per epoch.
        validation_steps: the number of batches of a validation.
        final_steps: the number of batches after the last epoch, which take as long as those of a
            validation.
    """

    def __init__(
        self,
        limit_s: float | None,
        epoch_steps: int,
        validation_steps: int,
        final_steps: int = 0,
    ) -> None:
        self._limit_s, self._epoch_steps = limit_s, epoch_steps
        self._validation_steps, self._final_steps = validation_steps, final_steps
        self._validation_s: float | None = None
        self.restart()

    def restart(self) -> None:
        """Measure the pace again: the step is compiled again."""
        self._seen = 0
        self._steps, self._seconds = 0, 0.0
        self._last: tuple[int, float] | None = None

    def end_epoch(self, validation_s: float) -> None:
        """Count the time of a validation, in seconds."""
        self._validation_s = validation_s
        self._last = None

    def check(self, phase: Phase, step: int, now_s: float) -> None:
        """Count a step, and check that the phase can end in time.

        Args:
            phase: the last phase of the run.
            step: the step that begins.
            now_s: the time that the run has taken, in seconds.

        Raises:
            EndsEarlier: the phase must end earlier.
        """
        if self._limit_s is None:
            return
        self._count(step, now_s)
        end_step = self._find_end(phase, step, self._limit_s - now_s)
        if end_step is not None:
            raise EndsEarlier(end_step)

    def _find_end(self, phase: Phase, step: int, left_s: float) -> int | None:
        """Return an earlier end; None if the phase ends in time, or the pace is not known yet."""
        if self._steps < _MIN_STEPS:
            return None
        if self._needed_s(step, phase.end_step) <= left_s + _TOLERANCE * (self._limit_s or 0):
            return None
        end = step + 1
        while end < phase.end_step and self._needed_s(step, end + 1) <= _USED_SHARE * left_s:
            end += 1
        return end if end < phase.end_step else None

    def _count(self, step: int, now_s: float) -> None:
        if self._last is not None and step == self._last[0] + 1:
            self._seen += 1
            if self._seen > _FIRST_STEPS:
                self._steps += 1
                self._seconds += now_s - self._last[1]
        self._last = step, now_s

    def _needed_s(self, step: int, end_step: int) -> float:
        """Return the time from a step to an end, with the validations of the epochs, in seconds."""
        step_s = self._seconds / self._steps
        epochs = -(-end_step // self._epoch_steps) - step // self._epoch_steps
        validation_s = self._validation_s
        if validation_s is None:
            validation_s = _VALIDATION_SHARE * step_s * self._validation_steps
        validations = epochs + self._final_steps / max(self._validation_steps, 1)
        return (end_step - step) * step_s + validations * validation_s
