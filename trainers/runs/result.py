"""`result.json`: what a training has reached. Written last: where it is, the training ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from records.errors import CorruptDataError
from records.strict_json import decode_json
from trainers.runs.run_dir import RESULT

if TYPE_CHECKING:
    from trainers.training.plan import TrainingPlan


class TrainingResult(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `train --json` prints, and `result.json`.

    Args:
        run: its folder.
        model: its name.
        mode: what of it was trained.
        epochs: that ended.
        steps: done.
        weights_epoch: the epoch whose weights are kept; the figures below are of that one.
        training_images: learned from.
        validation_images: measured on.
        parameters: of the network.
        trained_parameters: those that the last phase changed.
        accuracy: on the training images, while they were learned from.
        loss: there.
        val_accuracy: on the validation images.
        val_loss: there.
        seconds: of the whole training, but for loading Keras.
        damaged_records: those left out by `--skip-bad`.
    """

    run: str
    model: str
    mode: str
    epochs: int
    steps: int
    weights_epoch: int
    training_images: int
    validation_images: int
    parameters: int
    trained_parameters: int
    accuracy: float
    loss: float
    val_accuracy: float
    val_loss: float
    seconds: float
    damaged_records: int = 0


def encode_result(result: TrainingResult) -> bytes:
    """The content of `result.json`."""
    return msgspec.json.format(msgspec.json.encode(result), indent=2) + b"\n"


def find_result(plan: TrainingPlan) -> TrainingResult | None:
    """The result of a run that has nothing left to do; None where it has.

    Raises:
        CorruptDataError: `result.json` is none.
    """
    path = plan.run_path / RESULT
    if not path.is_file():
        return None
    try:
        result = decode_json(path.read_bytes(), TrainingResult)
    except msgspec.DecodeError as error:
        raise CorruptDataError(
            "this is not a run's result", path=str(path), got=str(error), hint="remove it"
        ) from error
    ended_early = plan.config.options.early_stopping is not None
    return result if ended_early or result.steps >= plan.phases[-1].end_step else None
