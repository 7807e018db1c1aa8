"""The report of a run agrees with its predictions."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import shardmill as sm
from records.dataset import open_dataset
from records.report import ImageSet
from records.report.parts import Matrix, Table
from records.stats import read_index_rows
from tests.reports import PageReader
from trainers.report.comparison import compare_images, compare_predictions
from trainers.report.confusion import confusion_parts, most_confused
from trainers.report.measure import ClassCollector, LabelCollector, Predictions
from trainers.tasks import find_task


@pytest.fixture
def images(shapes: Path) -> ImageSet:
    dataset = open_dataset(shapes)
    return ImageSet(dataset, read_index_rows(dataset).combine_chunks())


def predict(shapes: Path, seed: int, classes: int) -> Predictions:
    records = list(open_dataset(shapes)["test"])
    random = np.random.default_rng(seed)
    labels = np.array([record.label for record in records])
    guesses = random.integers(0, classes, len(labels))
    return Predictions(
        [record.key for record in records],
        labels,
        np.where(random.random(len(labels)) < 0.6, labels, guesses),
        random.random(len(labels)).astype(np.float32),
    )


@pytest.mark.parametrize("seed", range(3))
def test_confusion_cells_have_exactly_their_images(
    shapes: Path, images: ImageSet, seed: int
) -> None:
    labels = open_dataset(shapes).labels
    found = predict(shapes, seed, len(labels))
    matrix, pairs = confusion_parts(found, labels, images)
    assert isinstance(matrix, Matrix)
    assert isinstance(pairs, Table)
    expected: dict[str, set[str]] = {}
    for key, label, predicted in zip(found.keys, found.labels, found.predicted, strict=True):
        expected.setdefault(f"{label},{predicted}", set()).add(key)
    assert {
        cell: {images.entries[number].key for number in numbers}
        for cell, numbers in matrix.examples.items()
    } == expected
    assert np.sum(matrix.counts) == len(found.keys)
    rows: Any = pairs.rows
    counts = [row[3] for row in rows]
    assert counts == sorted(counts, reverse=True)
    assert sum(counts) == (~found.is_right).sum()
    answers = zip(found.labels.tolist(), found.predicted.tolist(), strict=True)
    both = Counter(frozenset(pair) for pair in answers if pair[0] != pair[1])
    times = [int(text) for text in re.findall(r": (\d+) times?", most_confused(found, labels))]
    assert sum(times) == max(both.values())
    assert times == sorted(times, reverse=True)


def test_comparison_lists_images_that_one_run_predicts_rightly(
    shapes: Path, images: ImageSet
) -> None:
    labels = open_dataset(shapes).labels
    first, other = (predict(shapes, seed, len(labels)) for seed in (1, 2))
    rows: Any = compare_images(first, other, labels, ("Run 1", "Run 2"), images).rows
    expected = {
        key
        for key, one, two in zip(first.keys, first.is_right, other.is_right, strict=True)
        if one != two
    }
    assert {images.entries[row[0][0]].key for row in rows} == expected
    rights = dict(zip(first.keys, first.is_right, strict=True))
    for row in rows:
        assert (row[4] == "Run 1") == rights[images.entries[row[0][0]].key]

    paired = compare_predictions(first, other)
    assert paired is not None
    assert paired.images == len(first.keys)
    assert paired.both_right + paired.only_first == first.is_right.sum()
    assert paired.both_right + paired.only_second == other.is_right.sum()
    assert paired.only_first + paired.only_second == len(rows)


def test_threshold_curve_of_classes_counts_predictions_at_or_above_a_score() -> None:
    collector = ClassCollector(find_task("classification"))
    logits = np.log(np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]]))
    collector.add(logits[:2], np.array([0, 1]), np.array([b"a", b"b"], object))
    collector.add(logits[2:], np.array([1]), np.array([b"c"], object))
    curve = collector.curve()
    at = curve.thresholds.index(0.7)
    assert curve.series["share of the images"][0] == 1
    assert curve.series["share of the images"][at] == pytest.approx(2 / 3)
    assert curve.series["accuracy"][0] == pytest.approx(2 / 3)
    assert curve.series["accuracy"][at] == 1
    assert curve.series["accuracy"][-1] is None
    assert collector.predictions().keys == ["a", "b", "c"]


def test_threshold_curve_of_labels_is_precision_and_recall() -> None:
    collector = LabelCollector(find_task("multi-label"))
    scores = np.array([[0.9, 0.3], [0.6, 0.2]])
    logits = np.log(scores / (1 - scores))
    collector.add(logits, np.array([[1.0, 1.0], [0.0, 0.0]]), np.array([b"a", b"b"], object))
    curve = collector.curve()
    at = curve.thresholds.index(0.5)
    assert curve.series["precision"][0] == 0.5
    assert curve.series["recall"][0] == 1
    assert curve.series["precision"][at] == 0.5
    assert curve.series["recall"][at] == 0.5


@pytest.mark.slow
def test_report_of_two_runs_agrees_with_evaluate(shapes: Path, run_path: Path) -> None:
    page = PageReader(sm.report(shapes, [run_path, run_path]).html)
    evaluation: Any = sm.evaluate(run_path)
    matrix = next(part for part in page.data["parts"] if part["title"] == "Confusion matrix")
    assert matrix["counts"] == [list(row) for row in evaluation.confusion]
    assert f"{evaluation.accuracy:.4g}" in page.text
    assert "Images that one run predicts rightly" not in [it["title"] for it in page.data["parts"]]
    verdict = "Run 2 is better than Run 1 on 0 of"
    assert page.text.count(verdict) == 2
    assert "is not significant, p = 1" in page.text
    assert "Accuracy by epoch" in page.text
    assert {row[3] for row in page.part("Metrics of both runs")["rows"]} <= {0, None}
    validation = page.part("Validation accuracy of both runs")["rows"]
    assert len(validation) == 4
    assert all(one == two for _, one, two in validation)
    assert "The runs have the same options." in page.text
