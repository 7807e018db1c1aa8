"""Checkpoints: all that a training needs to go on as if nothing had happened.

    RUN/checkpoints/step-00001500.weights.h5

Each is Keras's own weights file of the model as it trains, its optimizer in it. Beside that what is
random in the model has its state in `random/`, and the training has its own, as JSON, in an
attribute of the file. Of the input two numbers are enough: its order follows from seed and step.
"""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

import h5py
import msgspec
from keras import ops

from records.errors import CorruptDataError
from records.strict_json import decode_json
from trainers.models.load import check_weights, file_bytes
from trainers.runs.history import EpochMetrics
from trainers.runs.run_dir import CHECKPOINTS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import keras

    from trainers.runs.run_dir import Run

_STATE = "shardmill"
_RANDOM = "random"
_PATTERN = "step-*.weights.h5"


class TrainingState(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a training is.

    Args:
        seed: of the order of records.
        step: how many steps are done, of all phases.
        metric_sums: what Keras's metrics have added up in the epoch that has begun.
        epoch_seconds: how long that epoch has taken.
        seconds: how long all of it has taken.
        epochs: the results of those that have ended.
        damaged: the records left out, as (shard, number).
        figures_due: accuracy and loss of an epoch whose steps are done and whose validation is not.
    """

    seed: int
    step: int = 0
    metric_sums: tuple[float, ...] = ()
    epoch_seconds: float = 0.0
    seconds: float = 0.0
    epochs: tuple[EpochMetrics, ...] = ()
    damaged: tuple[tuple[str, int], ...] = ()
    figures_due: dict[str, float] | None = None


def save_checkpoint(run: Run, model: keras.Model, state: TrainingState, *, keep: int) -> None:
    """Write a checkpoint, whole or not at all; then remove all but the `keep` newest.

    Raises:
        OutputError: the run cannot be written.
    """
    name = f"{CHECKPOINTS}/step-{state.step:08}.weights.h5"
    size_bytes = file_bytes([*model.variables, *model.optimizer.variables])
    with run.replacing(name, size_bytes=size_bytes) as path:
        model.save_weights(path)
        with h5py.File(path, "a") as file:
            file.attrs[_STATE] = msgspec.json.encode(state).decode()
            for number, variable in enumerate(_list_random_states(model)):
                file[f"{_RANDOM}/{number}"] = ops.convert_to_numpy(variable)
    for path in list_checkpoints(run)[:-keep]:
        path.unlink(missing_ok=True)


def list_checkpoints(run: Run) -> list[Path]:
    """The run's checkpoints, the newest last."""
    return sorted((run.path / CHECKPOINTS).glob(_PATTERN))


def read_state(path: Path) -> TrainingState:
    """The training's state of a checkpoint. Raises CorruptDataError."""
    with _reading(path), h5py.File(path, "r") as file:
        content = str(file.attrs[_STATE])
    try:
        return decode_json(content.encode(), TrainingState)
    except msgspec.DecodeError as error:
        raise _damaged(path, error) from error


def restore_model(model: keras.Model, path: Path) -> None:
    """Weights, optimizer and random state of a checkpoint into a compiled model.

    Raises:
        CorruptDataError: the file is damaged, or is another model's.
    """
    with _reading(path):
        check_weights(path)
        model.load_weights(path)
        with h5py.File(path, "r") as file:
            for number, variable in enumerate(_list_random_states(model)):
                variable.assign(file[f"{_RANDOM}/{number}"][()])


def _list_random_states(model: keras.Model) -> list[keras.Variable]:
    """Of dropout and of augmentation: not weights to Keras, so that its files leave them out."""
    weights = {id(weight) for weight in model.weights}
    metrics = {id(variable) for variable in model.metrics_variables}
    return [
        variable
        for variable in model.variables
        if id(variable) not in weights and id(variable) not in metrics
    ]


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        with warnings.catch_warnings():
            # Keras warns of what it skips, then raises for layers that are left without weights.
            warnings.simplefilter("ignore", UserWarning)
            yield
    except (OSError, ValueError, KeyError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> CorruptDataError:
    return CorruptDataError(
        "this is not a checkpoint of this run",
        path=str(path),
        got=str(error).partition("\n")[0],
        hint="remove it to go on from the one before",
    )
