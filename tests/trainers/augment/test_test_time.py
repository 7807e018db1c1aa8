"""Views of images, and the mean of their scores."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.trainers.conftest import make_source
from trainers.augment.test_time import views_of
from trainers.evaluation import evaluate
from trainers.prediction import Predictor
from trainers.tasks import find_task
from trainers.tasks.base import Task

if TYPE_CHECKING:
    from pathlib import Path

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 16, 24, 3), np.uint8)


def test_views_are_the_images_mirrored_images_and_corners() -> None:
    views = list(views_of(IMAGES, 10))
    assert all(view.shape == IMAGES.shape and view.dtype == np.uint8 for view in views)
    np.testing.assert_array_equal(views[0], IMAGES)
    np.testing.assert_array_equal(views[1], IMAGES[:, :, ::-1])
    for corner, mirrored in zip(views[2:6], views[6:], strict=True):
        np.testing.assert_array_equal(corner, mirrored[:, :, ::-1])
    places = [(0, 0), (0, -1), (-1, 0), (-1, -1)]
    for (row, column), corner in zip(places, views[2:6], strict=True):
        np.testing.assert_allclose(corner[:, row, column], IMAGES[:, row, column], atol=1)
    assert [len(list(views_of(IMAGES, number))) for number in (1, 2, 7)] == [1, 2, 7]


def test_views_of_tiny_images_have_their_shape() -> None:
    tiny = IMAGES[:, :1, :1]
    assert all((view == tiny).all() for view in views_of(tiny, 10))


@pytest.mark.parametrize("name", ["classification", "multi-label"])
def test_average_of_logits_gives_the_mean_of_the_scores(name: str) -> None:
    task: Task = find_task(name)
    logits = np.random.default_rng(1).normal(0, 30, (4, 5, 3))
    expected = sum(task.outputs(each) for each in logits) / len(logits)
    np.testing.assert_allclose(task.outputs(task.average([*logits])), expected, atol=1e-9)


def test_evaluate_and_predict_average_the_same_views(
    shapes: Path, run_path: Path, tmp_path: Path
) -> None:
    images = [make_source(number).data for number in range(150, 154)]
    predictions = {views: Predictor(run_path, tta=views).predict(images) for views in (1, 4)}
    evaluate(run_path, shapes, tta=4, csv=tmp_path / "scores.csv")
    with (tmp_path / "scores.csv").open(newline="") as file:
        rows = {row["key"]: row for row in csv.DictReader(file)}
    for number, prediction in enumerate(predictions[4], start=150):
        row = rows[make_source(number).key.decode()]
        best = f"score_{prediction.class_name}"
        assert float(row[best]) == pytest.approx(prediction.score, abs=2e-6)
    scores = [[each.score for each in found] for found in predictions.values()]
    assert scores[0] != scores[1]
