"""CSV file of one or several evaluations: the prediction for each image."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING, Any, BinaryIO

import msgspec

from records.storage.errors import HINT_FIX, translate_write_errors
from records.storage.exclusive import write_new_file
from records.text.csv_rows import encode_csv_row
from records.text.keys import key_to_text
from trainers.runs.thresholds import read_thresholds
from trainers.tasks import task_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from trainers.runs.run_dir import Run


class PredictionTable:
    """Rows of all evaluated images, in a temporary file until `save`.

    A damaged record starts an evaluation again, and with it the table.

    Args:
        run: the run that predicts.
        fold: the number of the fold that the run has not trained on, for a column `fold`.
        file: a temporary file, at the end of the rows of other runs; by default, a new one.

    Call `restart` before the first row.
    """

    def __init__(self, run: Run, *, fold: int | None = None, file: BinaryIO | None = None) -> None:
        self._task = task_of(run.config)
        self._names = run.labels
        self._thresholds = read_thresholds(run) if run.has_thresholds else ()
        self._fold = () if fold is None else (str(fold),)
        new = tempfile.TemporaryFile  # closed with the object
        self._file: BinaryIO = new() if file is None else file
        self._start = self._file.tell()

    def restart(self) -> None:
        """Remove the rows of the run, and write the header before the first run."""
        self._file.seek(self._start)
        self._file.truncate()
        if not self._start:
            columns = prediction_columns(self._task.name, self._names, folds=bool(self._fold))
            self._write(columns)

    def add(
        self, logits: NDArray[np.floating], labels: NDArray[Any], keys: NDArray[np.object_]
    ) -> None:
        """Add a row per image: logits (images, outputs), labels of the task, keys (images,).

        Raises:
            OutputError: the temporary folder is full.
        """
        outputs = self._task.outputs(logits)
        for key, *values in zip(keys, outputs, labels, strict=True):
            self._write([key_to_text(key), *self._fold, *self._cells(*values)])

    def save(self, path: str) -> None:
        """Write the table to a new file. Raises as `write_new_file`."""
        with translate_write_errors(tempfile.gettempdir(), hint=HINT_FIX):
            self._file.seek(0)  # flushes the buffer
        write_new_file(path, self._file)

    def _cells(self, outputs: NDArray[np.float64], truth: Any) -> Iterator[str]:
        if not self._task.has_classes:
            yield from (f"{float(value):.9g}" for value in (truth, outputs[0]))
            return
        predicted = self._task.choose(outputs, self._thresholds)
        if self._task.is_exclusive:
            yield from (self._names[label] for label in (int(truth), predicted[0]))
        else:
            for labels in ((truth > 0.5).nonzero()[0].tolist(), predicted):
                yield msgspec.json.encode([self._names[label] for label in labels]).decode()
        yield from (f"{score:.6f}" for score in outputs.tolist())

    def _write(self, row: Sequence[str]) -> None:
        with translate_write_errors(tempfile.gettempdir(), hint=HINT_FIX):
            self._file.write(encode_csv_row(row))


def prediction_columns(task: str, names: Sequence[str], *, folds: bool = False) -> tuple[str, ...]:
    """Return the names of the columns of a `PredictionTable`.

    Args:
        task: the task of the run. With `multi-label`, the columns `classes` and `predicted` have
            lists of class names, as JSON. With `regression`, `value` and `predicted` are numbers.
        names: the names of the classes, in the order of the label map.
        folds: whether the rows have the number of a fold.
    """
    first = ("key", *("fold",) * folds)
    if task == "regression":
        return (*first, "value", "predicted")
    truth = "class" if task == "classification" else "classes"
    return (*first, truth, "predicted", *(f"score_{name}" for name in names))
