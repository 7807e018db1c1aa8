"""Table of loggers; importing this module loads none of their packages."""

from __future__ import annotations

import importlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from records.runtime.extras import check_extra

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from trainers.loggers.base import Outcome, RunLogger
    from trainers.options import LoggerName
    from trainers.runs.history import EpochMetrics
    from trainers.runs.run_dir import Run


class LoggerKind(NamedTuple):
    """A kind of logger.

    Attributes:
        module: the module with the function `open_logger`; see `RunLogger`.
        package: the package that the logger needs.
        extra: the extra of shardmill that installs this package.
    """

    module: str
    package: str
    extra: str


LOGGERS: dict[LoggerName, LoggerKind] = {
    "tensorboard": LoggerKind("trainers.loggers.tensorboard", "tensorboard", "tensorboard"),
    "mlflow": LoggerKind("trainers.loggers.mlflow", "mlflow", "mlflow"),
    "wandb": LoggerKind("trainers.loggers.wandb", "wandb", "wandb"),
}


def check_loggers(names: Iterable[LoggerName]) -> None:
    """Check that the packages of loggers are installed. Raises UsageError."""
    for name in names:
        check_extra(LOGGERS[name].package, LOGGERS[name].extra)


class RunLoggers:
    """All loggers of a run, which may be none.

    Args:
        loggers: the loggers.
    """

    def __init__(self, loggers: Iterable[RunLogger] = ()) -> None:
        self._loggers = tuple(loggers)

    def write_step(self, step: int, metrics: Mapping[str, float]) -> None:
        """See `RunLogger.write_step`."""
        for logger in self._loggers:
            logger.write_step(step, metrics)

    def write_epoch(self, step: int, result: EpochMetrics) -> None:
        """See `RunLogger.write_epoch`."""
        for logger in self._loggers:
            logger.write_epoch(step, result)

    def close(self, outcome: Outcome) -> None:
        """See `RunLogger.close`."""
        for logger in self._loggers:
            logger.close(outcome)


@contextmanager
def open_loggers(
    names: Iterable[LoggerName], run: Run, on_message: Callable[[str], None]
) -> Iterator[RunLoggers]:
    """Yield loggers of a new or resumed run; they learn how the block ends.

    Args:
        names: the names of the loggers.
        run: the run, locked by this process.
        on_message: called with each line that the user should read.

    Raises:
        OutputError: a local file cannot be written.
        StorageError: a service does not accept the run.
    """
    opened: list[RunLogger] = []
    outcome: Outcome = "failed"
    try:
        for name in names:
            module = importlib.import_module(LOGGERS[name].module)
            opened.append(module.open_logger(run, on_message))
        yield RunLoggers(opened)
        outcome = "finished"
    except (KeyboardInterrupt, SystemExit):
        outcome = "interrupted"
        raise
    finally:
        RunLoggers(opened).close(outcome)
