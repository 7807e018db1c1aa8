"""Shared parts of the commands: options, stderr, start of the backend."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, get_args

import click

from records.cli.params import Count
from records.errors import InputNotFoundError
from records.runtime.logging import log_line
from records.text.formatting import pluralize
from trainers.options import KeptWeights, RejectBelow, Views

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from trainers.runs.run_dir import Run

# TensorFlow and Keras import these packages where they are installed, for interfaces that no
# command uses. The imports take 40 % of the time in which TensorFlow and Keras load.
UNUSED_PACKAGES = ("IPython", "jax", "matplotlib", "sklearn")


class RejectBelowValue(click.ParamType[RejectBelow]):
    """The type of `--reject-below`: a score, or `auto`."""

    name = "P|auto"

    def convert(self, value: Any, param: Any, ctx: Any) -> RejectBelow:
        """See `click.ParamType.convert`."""
        if value == "auto":
            return "auto"
        try:
            score = float(value)
        except ValueError:
            score = -1.0
        if not 0 < score <= 1:
            self.fail(f"{value!r} is neither a score above 0, up to 1, nor `auto`", param, ctx)
        return score


weights_option = click.option(
    "--weights",
    type=click.Choice(get_args(KeptWeights)),
    default="best",
    show_default=True,
    help="Weights of RUN to use: of the epoch with the lowest validation loss, or of the last.",
)
tta_option = click.option(
    "--tta",
    type=Count(Views),
    default=1,
    show_default=True,
    metavar="N",
    help="Test-time augmentation: average the scores of N views of each image, at most 10: the "
    "image, mirrored, and its corners.",
)
reject_below_option = click.option(
    "--reject-below",
    type=RejectBelowValue(),
    metavar="P|auto",
    help="Predict none of the classes if the best score is below P; auto: if the image is less "
    "similar to the training images of the best class than 95 % of the validation images.",
)


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


def open_run(
    location: str | os.PathLike[str],
    model: str | None = None,
    weights: KeptWeights | None = None,
) -> Run:
    """Open a run with the weights to use, and import its model, `package.module:builder`."""
    from trainers.models import require_model
    from trainers.runs import run_dir

    run = run_dir.open_run(location, weights)
    require_model(run, model)
    return run


def note_unfinished(run: Run) -> None:
    """Log a line if a run is not finished."""
    if not run.is_finished:
        log(f"this run is not finished: using the weights of the {run.weights} epoch so far")


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
