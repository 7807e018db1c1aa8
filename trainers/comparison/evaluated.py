"""Evaluation of several runs, for a comparison on the same images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from records.errors import UsageError
from records.text.keys import key_to_text
from trainers.comparison.paired import PairedComparison, compare_paired
from trainers.evaluation.evaluate import evaluate_plan, plan_evaluation
from trainers.models import require_model

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from trainers.evaluation.evaluate import EvaluationPlan
    from trainers.runs.run_dir import Run

_TASK = "classification"


def compare_on_split(
    runs: Sequence[Run], split: str, on_message: Callable[[str], None] | None = None
) -> Iterator[PairedComparison | None]:
    """Yield a comparison of the first run with each of the others, on a split of their dataset.

    Args:
        runs: two or more runs.
        split: the name of the split.
        on_message: called with each line that `evaluate` would print.

    Yields:
        The comparison on the images that both runs have predicted; None if there are none.

    Raises as `evaluate`; also UsageError if a run does not predict one class per image.
    """
    for run in runs:
        _require_one_class(run)
    plans = [plan_evaluation(run, None, split) for run in runs]
    first, *others = (_find_right(plan, on_message) for plan in plans)
    for other in others:
        yield compare_paired(first, other)


def _require_one_class(run: Run) -> None:
    require_model(run, None)
    if run.config.task != _TASK:
        raise UsageError(
            "the test of a difference needs runs that predict one class per image",
            path=run.location,
            expected=f"task {_TASK}",
            got=run.config.task,
            hint="omit --split",
        )


def _find_right(plan: EvaluationPlan, on_message: Callable[[str], None] | None) -> dict[str, bool]:
    """Return for the key of each image whether the prediction is right."""
    found: dict[str, bool] = {}

    def add(logits: NDArray[np.floating], labels: NDArray[Any], keys: NDArray[np.object_]) -> None:
        is_right = logits.argmax(axis=1) == labels
        found.update(zip(map(key_to_text, keys), is_right.tolist(), strict=True))

    evaluate_plan(plan, on_message=on_message, on_batch=add)
    return found
