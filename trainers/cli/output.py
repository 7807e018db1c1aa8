"""Shared steps of the commands: lines on stderr, start of the backend."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from records.errors import InputNotFoundError
from records.runtime.logging import log_line
from records.text.formatting import pluralize

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from trainers.runs.run_dir import Run

# TensorFlow and Keras import these packages where they are installed, for interfaces that no
# command uses. The imports take 40 % of the time in which TensorFlow and Keras load.
UNUSED_PACKAGES = ("IPython", "jax", "matplotlib", "sklearn")


def start_backend(log: Callable[[str], None]) -> None:
    """Load Keras, and log the backend and the devices."""
    from trainers import backend

    with unused_packages_hidden():
        started = backend.start_backend()
    log(f"running on {started}")
    if started.problem is not None:
        log(started.problem)


@contextmanager
def unused_packages_hidden() -> Iterator[None]:
    """Make imports of packages that are not loaded yet fail in the block."""
    hidden = {name for name in UNUSED_PACKAGES if name not in sys.modules}
    hidden.discard(os.environ.get("KERAS_BACKEND") or "")
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type] # None: "cannot be imported"
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


def open_run(location: str | os.PathLike[str], model: str | None = None) -> Run:
    """Open a run, and import its model if the user gives `package.module:builder`."""
    from trainers.models import require_model
    from trainers.runs import run_dir

    run = run_dir.open_run(location)
    require_model(run, model)
    return run


def note_unfinished(run: Run) -> None:
    """Log a line if a run is not finished."""
    if not run.is_finished:
        log("this run is not finished: using the weights of the last epoch")


def report_missing_predictions(predicted: int, files: int) -> None:
    """Log how many files have no prediction. Raises InputNotFoundError if none has one."""
    if not predicted:
        raise InputNotFoundError("no prediction for any file", got=pluralize(files, "file"))
    if predicted < files:
        log(f"{files - predicted:,} of {pluralize(files, 'file')} without a prediction")


def log(text: str) -> None:
    """Write a line to stderr."""
    log_line(text)


def ignore(_text: str) -> None:
    """Discard a line, for quiet commands."""
