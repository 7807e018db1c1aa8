"""What predictions look like to people and programs: a line, a JSON object, rows of CSV."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

import msgspec

from records.text import printable
from trainers.predict import Prediction

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from trainers.predict import Refusal

CSV_COLUMNS = ("file", "rank", "class", "label", "score", "reason")


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
            return printable(f"{self.file}: not an image to classify, {self.reason}: {self.detail}")
        scores = "  ".join(f"{best.name} {best.score:.1%}" for best in self.classes)
        return printable(f"{self.file}  {scores}")


def describe_result(result: Prediction | Refusal, labels: Sequence[str]) -> FileResult:
    """A result with names instead of labels."""
    # A file's name may be no UTF-8; what is printed or written must be.
    file = str(result.path).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    if not isinstance(result, Prediction):
        return FileResult(file, reason=result.rejection.reason, detail=result.rejection.detail)
    scores = (ClassScore(labels[label], label, score) for label, score in result.scores)
    return FileResult(file, tuple(scores))


def encode_json(results: Sequence[FileResult]) -> bytes:
    """A list with an object a file."""
    return msgspec.json.format(msgspec.json.encode(results), indent=2)


def encode_csv(results: Iterable[FileResult]) -> bytes:
    """A row a class of each file, rank 1 the best; a refused file has one, with the reason."""
    content = io.StringIO(newline="")
    rows = csv.writer(content)
    rows.writerow(CSV_COLUMNS)
    for result in results:
        for rank, best in enumerate(result.classes, start=1):
            rows.writerow((result.file, rank, best.name, best.label, f"{best.score:.6f}", ""))
        if result.reason is not None:
            rows.writerow((result.file, "", "", "", "", f"{result.reason}: {result.detail}"))
    return content.getvalue().encode()
