"""Checkpoints: the complete state of a run at one step.

    RUN/checkpoints/step-00001500.weights.h5

A checkpoint is a Keras weights file of the model and its optimizer. The group `random/` contains
the states of random layers, the group `metrics/` the variables of the metrics, and the group
`best/` the weights of the best epoch so far. With LoRA, `lora/` contains the weights of the adapted
layers, which Keras saves merged. A file attribute contains the state of the run as
JSON. The input needs no state: its order follows from seed and step.
"""

from __future__ import annotations

import fnmatch
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import h5py
import msgspec
from keras import ops

from records.errors import CorruptDataError
from records.strict_json import decode_json
from trainers.models.hub.lora import lora_weights
from trainers.models.load import check_weights
from trainers.models.weights_file import encode_weights
from trainers.runs.history import EpochMetrics
from trainers.runs.run_dir import CHECKPOINTS
from trainers.tasks import Findings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    import keras
    from numpy.typing import NDArray

    from trainers.runs.run_dir import Run

_STATE = "shardmill"
_RANDOM = "random"
_METRICS = "metrics"
_BEST = "best"
_LORA = "lora"
_PATTERN = "step-*.weights.h5"
_HINT = "remove this file to resume from the previous checkpoint"


class BestEpoch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The epoch whose weights a run keeps so far, and what its validation has found."""

    epoch: int
    findings: Findings = Findings()


class TrainingState(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The position of a run, and its results so far.

    Attributes:
        seed: the seed of the record order.
        step: the number of finished steps, in all phases.
        epoch_seconds: the time spent on the current epoch, in seconds.
        seconds: the time spent on the run by all its processes, in seconds.
        epochs: the results of the completed epochs.
        damaged: the damaged records to skip, as (shard name, number of the record in the shard).
        shortened: the changes of the end of the last phase; see `TrainingPlan.ends`.
        pending_metrics: the training metrics of an epoch whose steps are finished, but whose
            validation is not; None in the middle of an epoch.
        best: the best epoch of the phase; None before the end of the first epoch.
    """

    seed: int
    step: int = 0
    epoch_seconds: float = 0.0
    seconds: float = 0.0
    epochs: tuple[EpochMetrics, ...] = ()
    damaged: tuple[tuple[str, int], ...] = ()
    shortened: tuple[tuple[int, int], ...] = ()
    pending_metrics: dict[str, float] | None = msgspec.field(default=None, name="figures_due")
    best: BestEpoch | None = None


class Arrays(NamedTuple):
    """The arrays of a checkpoint that are not in its model.

    Attributes:
        metrics: the variables of the metrics, accumulated in the current epoch; each of any shape.
        best: the weights of the network after the best epoch; empty if there is none.
    """

    metrics: Sequence[NDArray[Any]] = ()
    best: Sequence[NDArray[Any]] = ()


def save_checkpoint(
    run: Run,
    model: keras.Model,
    state: TrainingState,
    arrays: Arrays,
    *,
    keep: int,
) -> None:
    """Write a checkpoint atomically; then remove all checkpoints except the `keep` newest.

    Args:
        run: the run folder.
        model: the compiled model.
        state: the position of the run, and its results so far.
        arrays: the other arrays.
        keep: the number of checkpoints to keep.

    Raises:
        OutputError: the run cannot be written.
    """
    name = f"{CHECKPOINTS}/step-{state.step:08}.weights.h5"

    def add_state(file: h5py.File) -> None:
        file.attrs[_STATE] = msgspec.json.encode(state).decode()
        _write_arrays(file, _RANDOM, map(ops.convert_to_numpy, _list_random_states(model)))
        _write_arrays(file, _METRICS, arrays.metrics)
        _write_arrays(file, _BEST, arrays.best)
        _write_arrays(file, _LORA, map(ops.convert_to_numpy, lora_weights(model)))

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


def restore_model(
    model: keras.Model, run: Run, checkpoint: str, *, is_new_phase: bool = False
) -> Arrays:
    """Load weights, optimizer state and random states of a checkpoint into a compiled model.

    Args:
        model: the compiled model.
        run: the run folder.
        checkpoint: the name of the checkpoint in it.
        is_new_phase: whether a phase begins at the checkpoint, so that the optimizer stays new.

    Returns:
        The other arrays of the checkpoint.

    Raises:
        CorruptDataError: the file is damaged, or belongs to a different model.
    """
    optimizer = model.optimizer.variables
    new = [*map(ops.convert_to_numpy, optimizer)] if is_new_phase else []
    with _reading(run, checkpoint) as path:
        model.load_weights(path)
        for variable, value in zip(optimizer, new, strict=is_new_phase):
            variable.assign(value)
        with h5py.File(path, "r") as file:
            for number, variable in enumerate(_list_random_states(model)):
                variable.assign(file[f"{_RANDOM}/{number}"][()])
            for number, variable in enumerate(lora_weights(model)):
                variable.assign(file[f"{_LORA}/{number}"][()])
            return Arrays(_read_arrays(file, _METRICS), _read_arrays(file, _BEST))


def _write_arrays(file: h5py.File, group: str, arrays: Iterable[NDArray[Any]]) -> None:
    for number, array in enumerate(arrays):
        file[f"{group}/{number}"] = array


def _read_arrays(file: h5py.File, group: str) -> list[NDArray[Any]]:
    saved = file.get(group, ())
    return [saved[str(number)][()] for number in range(len(saved))]


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
