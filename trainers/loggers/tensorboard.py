"""Logs for TensorBoard in the run folder."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import tensorflow as tf

from records.errors import OutputError
from trainers.runs.run_dir import TENSORBOARD

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from trainers.loggers.base import Outcome
    from trainers.runs.history import EpochMetrics
    from trainers.runs.run_dir import Run


def open_logger(run: Run, _on_message: Callable[[str], None]) -> TensorBoardLogger:
    """Return the logger of a run."""
    return TensorBoardLogger(run)


class TensorBoardLogger:
    """Writes metrics to `RUN/tensorboard`; each process of a resumed run adds a file.

    If the run is at a URL, the file is in the temporary folder, and is uploaded after each epoch.

    Args:
        run: the run.

    Raises:
        OutputError: the file cannot be written.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        folder = run.folder.local_path(TENSORBOARD)
        self._uploads = folder is None
        if folder is None:
            folder = Path(tempfile.mkdtemp(prefix="shardmill-"))
            weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self._folder = folder
        with self._translate_errors():
            self._writer = tf.summary.create_file_writer(str(self._folder))

    def write_step(self, step: int, metrics: Mapping[str, float]) -> None:
        """See `RunLogger.write_step`."""
        self._write(step, {f"epoch so far/{name}": value for name, value in metrics.items()})

    def write_epoch(self, step: int, result: EpochMetrics) -> None:
        """See `RunLogger.write_epoch`."""
        self._write(step, {f"epoch/{name}": value for name, value in result.to_columns().items()})
        if self._uploads:
            for path in self._folder.iterdir():
                self._run.write_unrecorded(f"{TENSORBOARD}/{path.name}", path.read_bytes())

    def close(self, outcome: Outcome) -> None:
        """See `RunLogger.close`; the files are complete after each epoch."""

    def _write(self, step: int, metrics: Mapping[str, float]) -> None:
        with self._translate_errors(), self._writer.as_default():
            for name, value in metrics.items():
                tf.summary.scalar(name, value, step=step)
            self._writer.flush()

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        """Translate the errors of TensorFlow. Raises OutputError."""
        try:
            yield
        except tf.errors.OpError as error:
            raise OutputError(
                "the logs of TensorBoard cannot be written",
                path=str(self._folder),
                got=error.message.partition("\n")[0].rpartition("; ")[2],
                hint="fix this, and repeat the command with --resume",
            ) from error
