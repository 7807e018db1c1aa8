"""Checks of the options of predictions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from records.errors import UsageError
from records.text.escaping import escape_for_display
from trainers.models import MODELS
from trainers.runs.run_dir import CLASS_MEANS
from trainers.runs.thresholds import find_reject_below

if TYPE_CHECKING:
    from trainers.options import RejectBelow
    from trainers.runs.run_dir import Run

_NEEDED = {
    "multi-label": "the run predicts any number of labels per image, also none",
    "regression": "the run predicts a number, and has no classes",
}
_EXAMPLE = 0.5


def check_reject_below(run: Run, given: RejectBelow | None) -> None:
    """Check the threshold of rejection for a run.

    Args:
        run: a run.
        given: a score; `auto`, which needs the class means of the run; or None.

    Raises:
        UsageError: the run does not predict one class per image, or has no class means for `auto`.
        CorruptDataError: the thresholds of the run are damaged.
    """
    if given is None:
        return
    if run.config.task in _NEEDED:
        raise UsageError(
            _NEEDED[run.config.task],
            path=run.location,
            got=f"--reject-below {given}",
            hint="omit --reject-below",
        )
    if given == "auto" and not run.has_class_means:
        what, remedy = _explain_missing(run)
        reached = find_reject_below(run)
        score = _EXAMPLE if reached is None else max(math.floor(1000 * reached), 1) / 1000
        raise UsageError(
            what,
            path=run.location,
            got="--reject-below auto",
            hint=f"{remedy}, or give a score, such as --reject-below {score:g}",
        )


def _explain_missing(run: Run) -> tuple[str, str]:
    """Return why a run has no class means for its weights, and what to do."""
    if run.has(CLASS_MEANS):
        return "the class means are those of the best epoch", "omit --weights last"
    if not run.is_finished:
        resume = "resume it with `shardmill train DATASET RUN --resume`"
        return "this run is not finished, and has no class means yet", resume
    remedy = "train a new run with `shardmill train DATASET RUN`"
    if run.config.architecture.model not in MODELS:
        remedy = "train a functional Keras model whose last layer is Dense"
    return "this run has no class means", remedy


def check_top_k(top_k: int, run: Run) -> None:
    """Check the number of classes per image for a run. Raises UsageError."""
    if run.target is not None and top_k != 1:
        raise UsageError(
            f"the run predicts a number, {escape_for_display(run.target)}, and has no classes",
            got=f"top_k {top_k!r}",
            hint="omit --top-k",
        )
    if not isinstance(top_k, int) or top_k < 1:
        raise UsageError("invalid top_k", expected="an integer of at least 1", got=repr(top_k))
