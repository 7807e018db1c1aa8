"""Three made-up labels are learned almost without mistakes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.trainers.drawn import SHAPES
from trainers.evaluation import MultiLabelEvaluation, evaluate
from trainers.options import TrainOptions
from trainers.training.planning import plan_training

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.slow
def test_train_learns_three_labels_within_few_epochs(tmp_path: Path) -> None:
    from trainers.training.train import train

    data = SHAPES.make_dataset(tmp_path, 3000, test=600)
    train(plan_training(data, tmp_path / "run", TrainOptions(epochs=3)))
    found = evaluate(tmp_path / "run")
    assert isinstance(found, MultiLabelEvaluation)
    assert found.images == 600
    assert found.mean_average_precision is not None
    assert found.mean_average_precision > 0.95
    assert found.macro_f1 is not None
    assert found.macro_f1 > 0.9
