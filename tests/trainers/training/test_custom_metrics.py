"""Metrics of registered models whose variables and results have any shapes."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any

import keras
import pytest

from records.errors import UsageError
from tests.trainers.drawn import SHAPES
from tests.trainers.models import custom_model
from tests.trainers.training.test_resume import assert_same_run, run_plan, stop_at_step
from trainers.input.selection import count_classes
from trainers.models import register_model
from trainers.models.registry import REGISTERED
from trainers.options import TrainOptions
from trainers.training.planning import plan_training

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

OPTIONS = TrainOptions(model="measured", epochs=1, batch_size=8, checkpoint_steps=2)


class CountsByClass(keras.metrics.Metric):  # type: ignore[misc]  # Keras is untyped here
    """Creates an integer matrix in its first update, and returns two results by name."""

    counts: Any = None

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        if self.counts is None:
            shape = (2, y_true.shape[-1])
            self.counts = self.add_variable(shape, "zeros", dtype="int32", name="counts")
        pair = [keras.ops.sum(keras.ops.cast(each > 0.5, "int32"), 0) for each in (y_true, y_pred)]
        self.counts.assign(self.counts + keras.ops.stack(pair))

    def result(self) -> dict[str, Any]:
        return {"images": self.counts[0], "predicted": keras.ops.sum(self.counts[1])}


METRICS: dict[str, Callable[[], keras.metrics.Metric]] = {
    "r2_of_classes": lambda: keras.metrics.R2Score(class_aggregation=None, name="r2_of_classes"),
    "f1": lambda: keras.metrics.F1Score(average=None, threshold=0.5, name="f1"),
    "auc": lambda: keras.metrics.AUC(multi_label=True, num_labels=3, from_logits=True, name="auc"),
    "counts": lambda: CountsByClass(name="counts"),
    "short": lambda: keras.metrics.BinaryAccuracy(name="short", dtype="bfloat16"),
}


@pytest.fixture(autouse=True)
def _measured() -> Iterator[None]:
    register_model("measured", custom_model.build, metrics=tuple(METRICS.values()))
    yield
    REGISTERED.clear()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return SHAPES.make_dataset(tmp_path_factory.mktemp("measured"), 48, shards=1)


def interrupt(data: Path, run: Path, step: int) -> None:
    with stop_at_step(step), pytest.raises(KeyboardInterrupt):
        run_plan(plan_training(data, run, OPTIONS))


@pytest.mark.slow
def test_resume_metrics_of_any_shape_continue_within_epoch(data: Path, tmp_path: Path) -> None:
    run_plan(plan_training(data, tmp_path / "whole", OPTIONS))
    interrupt(data, tmp_path / "run", 3)
    run_plan(plan_training(data, tmp_path / "run", OPTIONS, resume=True))
    assert_same_run(tmp_path / "whole", tmp_path / "run")
    with (tmp_path / "run" / "history.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    plan = plan_training(data, tmp_path / "run", OPTIONS, resume=True)
    images = count_classes(plan.dataset, plan.training).tolist()
    assert [int(row[f"images_{label}"]) for label in range(3)] == images
    for name in ("r2_of_classes_0", "f1_2", "auc", "predicted"):
        assert {name, f"val_{name}"} <= row.keys()


def test_resume_changed_metrics_is_refused(data: Path, tmp_path: Path) -> None:
    interrupt(data, tmp_path / "run", 3)
    register_model("measured", custom_model.build, metrics=[METRICS["f1"]])
    with pytest.raises(UsageError, match="the metrics of the model differ from those of the ch"):
        run_plan(plan_training(data, tmp_path / "run", OPTIONS, resume=True))


def test_train_metric_that_does_not_fit_labels_is_refused(shapes: Path, tmp_path: Path) -> None:
    register_model("measured", custom_model.build, metrics=[METRICS["f1"]])
    with pytest.raises(UsageError, match=r"int64 labels \(1,\) and logits \(1, 3\), got ValueErr"):
        run_plan(plan_training(shapes, tmp_path / "run", OPTIONS))
