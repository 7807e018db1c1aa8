"""Predictions as text, JSON and CSV rows."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec

from records.text.escaping import escape_for_display
from trainers.options import NONE_OF_THESE
from trainers.prediction.result import ClassScore

if TYPE_CHECKING:
    from trainers.options import TaskName
    from trainers.prediction.result import FilePrediction, Prediction


_LISTS = ("classes", "labels", "scores")


class FileResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """The best classes or the value of a file, or the reason why there is no prediction.

    Attributes:
        file: the path or URL of the file.
        classes: the best classes, the highest score first.
        reason: the reason why the file has no prediction.
        detail: the detail of the reason.
        predicted: the classes whose scores reach their thresholds, the highest score first, if the
            run predicts any number of labels per image.
        value: the predicted value, if the run predicts a number.
        truth: the true class, if it was requested, and the folder of the file is a class.
        none_of_these: whether the file is below the threshold of rejection, if there is one.
    """

    file: str
    classes: tuple[ClassScore, ...] = ()
    reason: str | None = None
    detail: str | None = None
    predicted: tuple[ClassScore, ...] | None = None
    value: float | None = None
    truth: str | None = None
    none_of_these: bool | None = None

    def __str__(self) -> str:
        if self.reason is not None:
            return escape_for_display(f"{self.file}: no prediction, {self.reason}: {self.detail}")
        if self.value is not None:
            return escape_for_display(f"{self.file}  {self.value:.6g}")
        best = _list_scores(self.classes)
        if self.predicted is None:
            is_wrong = self.truth is not None and self.truth != self.classes[0].name
            truth = f"  (is {self.truth})" if is_wrong else ""
            if self.none_of_these:
                best = f"{NONE_OF_THESE}  (best: {best})"
            return escape_for_display(f"{self.file}  {best}{truth}")
        # One class is the default of `--top-k`.
        more = f"  (best: {best})" if len(self.classes) > 1 else ""
        return escape_for_display(
            f"{self.file}  {_list_scores(self.predicted) or 'no class'}{more}"
        )


def _list_scores(classes: tuple[ClassScore, ...]) -> str:
    return "  ".join(f"{each.name} {each.score:.1%}" for each in classes)


def to_file_result(prediction: FilePrediction) -> FileResult:
    """Return a prediction for output; bytes of the file name that are not UTF-8 are escaped."""
    path = os.fspath(prediction.path)
    file = path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return msgspec.structs.replace(to_result(file, prediction), truth=prediction.truth)


def to_result(file: str, prediction: Prediction) -> FileResult:
    """Return a prediction for output.

    Args:
        file: the name of the file, which UTF-8 can encode.
        prediction: the prediction for its content.
    """
    if prediction.rejection is not None:
        rejection = prediction.rejection
        return FileResult(file, reason=rejection.reason, detail=rejection.detail)
    return FileResult(
        file,
        prediction.top,
        predicted=prediction.chosen,
        value=prediction.value,
        none_of_these=prediction.none_of_these,
    )


def encode_json(result: FileResult) -> bytes:
    """Return a result as a JSON object on one line."""
    return msgspec.json.encode(result)


def csv_columns(
    top_k: int, task: TaskName = "classification", *, truth: bool = False, rejects: bool = False
) -> tuple[str, ...]:
    """Return the column names of `csv_row`; the names for the best class have no number.

    Args:
        top_k: the number of best classes per row.
        task: the task of the run. With `multi-label`, the columns `classes`, `labels` and `scores`
            have lists of all predicted classes, as JSON. With `regression`, the column `value` has
            the predicted value, and there are no columns of classes.
        truth: whether the second column is `truth`, the true class.
        rejects: whether the column before those of the best class is `predicted`, the predicted
            class or `none of these`.
    """
    if task == "regression":
        return ("file", "value", "reason")
    ranks = ["", *(f"_{rank}" for rank in range(2, top_k + 1))]
    best = (f"{name}{rank}" for rank in ranks for name in ("class", "label", "score"))
    lists = _LISTS if task == "multi-label" else ()
    more = (*(("truth",) if truth else ()), *(("predicted",) if rejects else ()))
    return ("file", *more, *lists, *best, "reason")


def csv_row(
    result: FileResult,
    top_k: int,
    task: TaskName = "classification",
    *,
    truth: bool = False,
    rejects: bool = False,
) -> tuple[str | int, ...]:
    """Return the row of a file: its classes or its value, or the reason for its rejection.

    Args:
        result: the prediction for the file.
        top_k: as in `csv_columns`.
        task: as in `csv_columns`.
        truth: as in `csv_columns`.
        rejects: as in `csv_columns`.
    """
    values: list[str | int] = _encode_lists(result) if task == "multi-label" else []
    for best in result.classes:
        values += best.name, best.label, f"{best.score:.6f}"
    if result.value is not None:
        values.append(f"{result.value:.9g}")  # every digit of a float32
    columns = len(csv_columns(top_k, task)) - len(("file", "reason"))
    values += [""] * (columns - len(values))
    reason = "" if result.reason is None else f"{result.reason}: {result.detail}"
    true_class = (result.truth or "",) if truth else ()
    predicted = (_predicted_class(result),) if rejects else ()
    return (result.file, *true_class, *predicted, *values, reason)


def _predicted_class(result: FileResult) -> str:
    """Return the predicted class, or `none of these`; an empty cell if the file is rejected."""
    if result.none_of_these:
        return NONE_OF_THESE
    return result.classes[0].name if result.classes else ""


def _encode_lists(result: FileResult) -> list[str | int]:
    """Return the predicted classes of a file as JSON lists; empty cells if it is rejected."""
    if result.predicted is None:
        return [""] * len(_LISTS)
    names = [each.name for each in result.predicted]
    labels = [each.label for each in result.predicted]
    scores = [round(each.score, 6) for each in result.predicted]
    return [msgspec.json.encode(values).decode() for values in (names, labels, scores)]
