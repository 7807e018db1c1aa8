"""The interface of loggers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainers.runs.history import EpochMetrics

Outcome = Literal["finished", "interrupted", "failed"]
"""How a process ended its part of a run; an interrupted run may be resumed."""


class RunLogger(Protocol):
    """Records the metrics of a run.

    A module in the table of loggers has a function `open_logger(run, on_message)`, which returns
    such an object for a new or resumed run.
    """

    def write_step(self, step: int, metrics: Mapping[str, float]) -> None:
        """Record the metrics accumulated since the epoch began, after `step` steps of the run.

        Raises:
            OutputError: a local file cannot be written.
        """

    def write_epoch(self, step: int, result: EpochMetrics) -> None:
        """Record the result of an epoch that ended after `step` steps of the run.

        Raises:
            OutputError: a local file cannot be written.
        """

    def close(self, outcome: Outcome) -> None:
        """End the record of this process; a finished run has all of its files."""
