"""Result of a run, `result.json`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from records.errors import CorruptDataError
from records.strict_json import decode_json
from records.text.formatting import pluralize
from trainers.options import TaskName
from trainers.runs.digests import read_checked
from trainers.runs.notebook import run_html
from trainers.runs.run_dir import CURVES, RESULT
from trainers.runs.run_folder import open_run_folder
from trainers.tasks.intervals import format_accuracy

if TYPE_CHECKING:
    from trainers.runs.run_dir import Run
    from trainers.training.planning import TrainingPlan


_MAP = "val_mean_average_precision"
_BINARY_ACCURACY = "val_binary_accuracy"
_R2, _MAE = "val_r2", "val_mean_absolute_error"
_HINT = "remove this file, and the same command finishes the run again"


class TrainingResult(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The result of a run: `result.json`, and the output of `train --json`.

    Attributes:
        run: the run folder, a path or a URL.
        model: the name of the model.
        mode: `scratch`, `transfer` or `finetune`.
        epochs: the number of completed epochs.
        steps: the number of finished steps.
        weights_epoch: the epoch whose weights are saved; all accuracies and losses belong to it.
        training_images: the number of training images.
        validation_images: the number of validation images.
        parameters: the number of parameters of the network.
        trained_parameters: the number of parameters that the last phase trains.
        accuracy: the accuracy on the training images, during training; None if the task is not
            `classification`.
        loss: the loss on the training images, during training.
        val_accuracy: the accuracy on the validation images, or None.
        val_loss: the loss on the validation images.
        seconds: the duration of the run in seconds, without the time to load Keras.
        damaged_records: the number of damaged records that were skipped.
        stopped_early: whether early stopping ended the run before its last step.
        task: the task of the run: `classification`, `multi-label` or `regression`.
        metrics: the other metrics, by their columns in `history.csv`: of the task `multi-label`,
            `binary_accuracy`, `val_binary_accuracy` and `val_mean_average_precision`; of the task
            `regression`, `r2`, `mean_absolute_error`, `val_r2` and `val_mean_absolute_error`; and
            those of a registered model.
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
    accuracy: float | None
    loss: float
    val_accuracy: float | None
    val_loss: float
    seconds: float
    damaged_records: int = 0
    stopped_early: bool = False
    task: TaskName = "classification"
    metrics: dict[str, float] = {}  # msgspec copies it

    def __repr__(self) -> str:
        metrics = (f"{name}={value:.4f}" for name, value in self._named_metrics().items())
        return f"TrainingResult(run={self.run!r}, epochs={self.epochs}, {', '.join(metrics)})"

    def _named_metrics(self) -> dict[str, float]:
        named = {
            "accuracy": self.accuracy,
            "loss": self.loss,
            "val_accuracy": self.val_accuracy,
            "val_loss": self.val_loss,
            **self.metrics,
        }
        return {name: value for name, value in named.items() if value is not None}

    def _repr_html_(self) -> str:
        early = ", stopped early" if self.stopped_early else ""
        metrics = self._named_metrics().items()
        facts = (
            ("run", self.run),
            ("model", self.model),
            ("mode", self.mode),
            ("task", self.task),
            (
                "epochs",
                f"{self.epochs:,}{early}; the weights are those of epoch {self.weights_epoch:,}",
            ),
            ("trained on", pluralize(self.training_images, "image")),
            ("validated on", pluralize(self.validation_images, "image")),
            (
                "parameters",
                f"{self.parameters:,}, of which {self.trained_parameters:,} are trained",
            ),
            *((name, f"{value:.4g}") for name, value in metrics),
        )
        return run_html(facts, lambda: read_checked(open_run_folder(self.run), CURVES))

    def summary(self) -> str:
        """Return the metrics that the command line prints."""
        if self.task == "regression":
            return (
                f"validation R² {self.metrics[_R2]:.3f}, "
                f"mean absolute error {self.metrics[_MAE]:.4g}"
            )
        if self.accuracy is None or self.val_accuracy is None:
            return (
                f"validation mean average precision {self.metrics[_MAP]:.1%}, "
                f"binary accuracy {self.metrics[_BINARY_ACCURACY]:.1%}"
            )
        validation = format_accuracy(self.val_accuracy, self.validation_images)
        return f"accuracy {self.accuracy:.1%}, validation accuracy {validation}"


def encode_result(result: TrainingResult) -> bytes:
    """Return the content of `result.json`."""
    return msgspec.json.format(msgspec.json.encode(result), indent=2) + b"\n"


def find_result(plan: TrainingPlan) -> TrainingResult | None:
    """Return the result of a run; None if the run is not finished, or the plan has more steps.

    With early stopping or a time limit, a run that has a result is finished, whatever the number of
    its steps.

    Raises:
        CorruptDataError: `result.json` is damaged.
    """
    result = read_result(plan.run)
    if result is None:
        return None
    config = plan.config
    may_end_early = (config.options.early_stopping, config.time_limit_seconds) != (None, None)
    return result if may_end_early or result.steps >= plan.phases[-1].end_step else None


def read_result(run: Run) -> TrainingResult | None:
    """Return the result of a run; None if the run is not finished. Raises as `find_result`."""
    if not run.is_finished:
        return None
    try:
        return decode_json(run.read(RESULT, hint=_HINT), TrainingResult)
    except msgspec.DecodeError as error:
        raise CorruptDataError(
            "not the result of a run", path=run.describe(RESULT), got=str(error), hint=_HINT
        ) from error
