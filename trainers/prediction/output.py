"""What predictions look like to people and programs: a line, a JSON object, a row of CSV."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from records.images import Rejection
from records.text.escaping import escape_for_display

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainers.prediction.predictor import FilePrediction


class ClassScore(msgspec.Struct, frozen=True):
    """A class and its probability."""

    name: str = msgspec.field(name="class")
    label: int
    score: float


class FileResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """One file: its best classes, or why there are none."""

    file: str
    classes: tuple[ClassScore, ...] = ()
    reason: str | None = None
    detail: str | None = None

    def __str__(self) -> str:
        if self.reason is not None:
            return escape_for_display(
                f"{self.file}: not an image to classify, {self.reason}: {self.detail}"
            )
        scores = "  ".join(f"{best.name} {best.score:.1%}" for best in self.classes)
        return escape_for_display(f"{self.file}  {scores}")


def to_file_result(answer: FilePrediction, labels: Sequence[str]) -> FileResult:
    """An answer with names instead of labels."""
    # A file's name may be no UTF-8; what is printed or written must be.
    file = answer.file.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    result = answer.result
    if isinstance(result, Rejection):
        return FileResult(file, reason=result.reason, detail=result.detail)
    scores = (ClassScore(labels[label], label, score) for label, score in result.scores)
    return FileResult(file, tuple(scores))


def encode_json(result: FileResult) -> bytes:
    """An object on one line."""
    return msgspec.json.encode(result)


def csv_columns(top_k: int) -> tuple[str, ...]:
    """The names of `csv_row`'s values: those of the best class have no number."""
    ranks = ["", *(f"_{rank}" for rank in range(2, top_k + 1))]
    scores = (f"{name}{rank}" for rank in ranks for name in ("class", "label", "score"))
    return ("file", *scores, "reason")


def csv_row(result: FileResult, top_k: int) -> tuple[str | int, ...]:
    """A file's row: its `top_k` best classes, or else the reason why there are none."""
    values: list[str | int] = []
    for best in result.classes:
        values += best.name, best.label, f"{best.score:.6f}"
    values += [""] * (3 * top_k - len(values))
    reason = "" if result.reason is None else f"{result.reason}: {result.detail}"
    return (result.file, *values, reason)
