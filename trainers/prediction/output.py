"""Predictions as text, JSON and CSV rows."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec

from records.text.escaping import escape_for_display
from trainers.prediction.predictor import ClassScore

if TYPE_CHECKING:
    from trainers.prediction.predictor import FilePrediction


class FileResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """The best classes of a file, or the reason why it cannot be classified."""

    file: str
    classes: tuple[ClassScore, ...] = ()
    reason: str | None = None
    detail: str | None = None

    def __str__(self) -> str:
        if self.reason is not None:
            return escape_for_display(
                f"{self.file}: cannot be classified, {self.reason}: {self.detail}"
            )
        scores = "  ".join(f"{best.name} {best.score:.1%}" for best in self.classes)
        return escape_for_display(f"{self.file}  {scores}")


def to_file_result(prediction: FilePrediction) -> FileResult:
    """Return a prediction for output; bytes of the file name that are not UTF-8 are escaped."""
    path = os.fspath(prediction.path)
    file = path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    if prediction.rejection is not None:
        rejection = prediction.rejection
        return FileResult(file, reason=rejection.reason, detail=rejection.detail)
    return FileResult(file, prediction.top)


def encode_json(result: FileResult) -> bytes:
    """Return a result as a JSON object on one line."""
    return msgspec.json.encode(result)


def csv_columns(top_k: int) -> tuple[str, ...]:
    """Return the column names of `csv_row`; the names for the best class have no number."""
    ranks = ["", *(f"_{rank}" for rank in range(2, top_k + 1))]
    scores = (f"{name}{rank}" for rank in ranks for name in ("class", "label", "score"))
    return ("file", *scores, "reason")


def csv_row(result: FileResult, top_k: int) -> tuple[str | int, ...]:
    """Return the row of a file: the `top_k` best classes, or the reason for its rejection."""
    values: list[str | int] = []
    for best in result.classes:
        values += best.name, best.label, f"{best.score:.6f}"
    values += [""] * (3 * top_k - len(values))
    reason = "" if result.reason is None else f"{result.reason}: {result.detail}"
    return (result.file, *values, reason)
