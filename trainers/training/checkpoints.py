"""Checkpoints: the complete state of a run at one step.

    RUN/checkpoints/step-00001500.weights.h5

A checkpoint is a Keras weights file of the model and its optimizer. The group `random/` contains
the states of random layers, and the group `metrics/` the variables of the metrics. A file attribute
contains the state of the run as JSON. The input needs no state: its order follows from seed and
step.
"""

from __future__ import annotations

import fnmatch
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import h5py
import msgspec
from keras import ops

from records.errors import CorruptDataError
from records.strict_json import decode_json
from trainers.models.load import check_weights
from trainers.models.weights_file import encode_weights
from trainers.runs.history import EpochMetrics
from trainers.runs.run_dir import CHECKPOINTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    import keras
    from numpy.typing import NDArray

    from trainers.runs.run_dir import Run

_STATE = "shardmill"
_RANDOM = "random"
_METRICS = "metrics"
_PATTERN = "step-*.weights.h5"
_HINT = "remove this file to resume from the previous checkpoint"


class TrainingState(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The position of a run, and its results so far.

    Attributes:
        seed: the seed of the record order.
        step: the number of finished steps, in all phases.
        epoch_seconds: the time spent on the current epoch, in seconds.
        seconds: the time spent on the run by all its processes, in seconds.
        epochs: the results of the completed epochs.
        damaged: the damaged records to skip, as (shard name, number of the record in the shard).
        pending_metrics: the training metrics of an epoch whose steps are finished, but whose
            validation is not; None in the middle of an epoch.
    """

    seed: int
    step: int = 0
    epoch_seconds: float = 0.0
    seconds: float = 0.0
    epochs: tuple[EpochMetrics, ...] = ()
    damaged: tuple[tuple[str, int], ...] = ()
    pending_metrics: dict[str, float] | None = msgspec.field(default=None, name="figures_due")


def save_checkpoint(
    run: Run,
    model: keras.Model,
    state: TrainingState,
    metrics: Sequence[NDArray[Any]] = (),
    *,
    keep: int,
) -> None:
    """Write a checkpoint atomically; then remove all checkpoints except the `keep` newest.

    Args:
        run: the run folder.
        model: the compiled model.
        state: the position of the run, and its results so far.
        metrics: the variables of the metrics, accumulated in the current epoch; each of any shape.
        keep: the number of checkpoints to keep.

    Raises:
        OutputError: the run cannot be written.
    """
    name = f"{CHECKPOINTS}/step-{state.step:08}.weights.h5"

    def add_state(file: h5py.File) -> None:
        file.attrs[_STATE] = msgspec.json.encode(state).decode()
        _write_arrays(file, _RANDOM, map(ops.convert_to_numpy, _list_random_states(model)))
        _write_arrays(file, _METRICS, metrics)

    run.write(name, encode_weights(model, add_state))
    for older in list_checkpoints(run)[:-keep]:
        run.folder.remove(older)


def list_checkpoints(run: Run) -> list[str]:
    """Return the names of the checkpoints in the run folder, the newest last."""
    return fnmatch.filter(run.folder.list(CHECKPOINTS), f"{CHECKPOINTS}/{_PATTERN}")


def latest_checkpoint(run: Run) -> str | None:
    """Return the name of the newest checkpoint of a run; None if the run has no checkpoints."""
    return next(reversed(list_checkpoints(run)), None)


def read_state(run: Run, checkpoint: str) -> TrainingState:
    """Return the state of a run that a checkpoint contains. Raises CorruptDataError."""
    with _reading(run, checkpoint) as path, h5py.File(path, "r") as file:
        content = str(file.attrs[_STATE])
    try:
        return decode_json(content.encode("utf-8", "surrogateescape"), TrainingState)
    except msgspec.DecodeError as error:
        raise _damaged(run, checkpoint, error) from error


def restore_model(model: keras.Model, run: Run, checkpoint: str) -> list[NDArray[Any]]:
    """Load weights, optimizer state and random states of a checkpoint into a compiled model.

    Args:
        model: the compiled model.
        run: the run folder.
        checkpoint: the name of the checkpoint in it.

    Returns:
        The variables of the metrics; empty if the checkpoint has none.

    Raises:
        CorruptDataError: the file is damaged, or belongs to a different model.
    """
    with _reading(run, checkpoint) as path:
        model.load_weights(path)
        with h5py.File(path, "r") as file:
            for number, variable in enumerate(_list_random_states(model)):
                variable.assign(file[f"{_RANDOM}/{number}"][()])
            saved = file.get(_METRICS, ())
            return [saved[str(number)][()] for number in range(len(saved))]


def _write_arrays(file: h5py.File, group: str, arrays: Iterable[NDArray[Any]]) -> None:
    for number, array in enumerate(arrays):
        file[f"{group}/{number}"] = array


def _list_random_states(model: keras.Model) -> list[keras.Variable]:
    """Return the random states of dropout and augmentation; Keras does not save these states."""
    weights = {id(weight) for weight in model.weights}
    metrics = {id(variable) for variable in model.metrics_variables}
    return [
        variable
        for variable in model.variables
        if id(variable) not in weights and id(variable) not in metrics
    ]


@contextmanager
def _reading(run: Run, checkpoint: str) -> Iterator[Path]:
    """Yield the local path of a checkpoint, checked."""
    with run.checked_file(checkpoint, hint=_HINT) as path:
        try:
            check_weights(path)
            with warnings.catch_warnings():
                # Keras warns about skipped weights; if a layer gets no weights, it then raises.
                warnings.simplefilter("ignore", UserWarning)
                yield path
        except (OSError, ValueError, KeyError) as error:
            raise _damaged(run, checkpoint, error) from error


def _damaged(run: Run, checkpoint: str, error: Exception) -> CorruptDataError:
    return CorruptDataError(
        "not a checkpoint of this run",
        path=run.describe(checkpoint),
        got=str(error).partition("\n")[0],
        hint=_HINT,
    )
