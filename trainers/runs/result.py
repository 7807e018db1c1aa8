"""Result of a run, `result.json`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from records.errors import CorruptDataError
from records.strict_json import decode_json
from trainers.runs.digests import read_checked
from trainers.runs.run_dir import RESULT

if TYPE_CHECKING:
    from trainers.training.plan import TrainingPlan


_HINT = "remove this file, and the same command finishes the run again"


class TrainingResult(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The result of a run: `result.json`, and the output of `train --json`.

    Attributes:
        run: the run folder.
        model: the name of the model.
        mode: `scratch`, `transfer` or `finetune`.
        epochs: the number of completed epochs.
        steps: the number of finished steps.
        weights_epoch: the epoch whose weights are saved; all accuracies and losses belong to it.
        training_images: the number of training images.
        validation_images: the number of validation images.
        parameters: the number of parameters of the network.
        trained_parameters: the number of parameters that the last phase trains.
        accuracy: the accuracy on the training images, during training.
        loss: the loss on the training images, during training.
        val_accuracy: the accuracy on the validation images.
        val_loss: the loss on the validation images.
        seconds: the duration of the run in seconds, without the time to load Keras.
        damaged_records: the number of damaged records that were skipped.
        stopped_early: whether early stopping ended the run before its last step.
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
    stopped_early: bool = False

    def __repr__(self) -> str:
        return (
            f"TrainingResult(run={self.run!r}, epochs={self.epochs}, accuracy={self.accuracy:.4f}, "
            f"loss={self.loss:.4f}, val_accuracy={self.val_accuracy:.4f}, "
            f"val_loss={self.val_loss:.4f})"
        )


def encode_result(result: TrainingResult) -> bytes:
    """Return the content of `result.json`."""
    return msgspec.json.format(msgspec.json.encode(result), indent=2) + b"\n"


def find_result(plan: TrainingPlan) -> TrainingResult | None:
    """Return the result of a run; None if the run is not finished, or the plan has more steps.

    With early stopping, a run that has a result is finished, whatever the number of its steps.

    Raises:
        CorruptDataError: `result.json` is damaged.
    """
    path = plan.run_path / RESULT
    if not path.is_file():
        return None
    try:
        result = decode_json(read_checked(plan.run_path, RESULT, hint=_HINT), TrainingResult)
    except msgspec.DecodeError as error:
        raise CorruptDataError(
            "not the result of a run", path=str(path), got=str(error), hint=_HINT
        ) from error
    ended_early = plan.config.options.early_stopping is not None
    return result if ended_early or result.steps >= plan.phases[-1].end_step else None
