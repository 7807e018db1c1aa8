"""The area of a disc is learned within few epochs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.trainers.drawn import DISCS
from trainers.evaluation import RegressionEvaluation, evaluate
from trainers.options import TrainOptions
from trainers.training.planning import plan_training

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.slow
def test_train_learns_the_area_of_a_disc_within_few_epochs(tmp_path: Path) -> None:
    from trainers.training.train import train

    data = DISCS.make_dataset(tmp_path, 1500, test=300)
    train(plan_training(data, tmp_path / "run", TrainOptions(target="area", epochs=6)))
    found = evaluate(tmp_path / "run")
    assert isinstance(found, RegressionEvaluation)
    assert found.r2 is not None
    assert found.r2 > 0.9
