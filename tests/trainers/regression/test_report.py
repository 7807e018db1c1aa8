"""The report of a run that predicts a number agrees with its evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import shardmill as sm
from tests.reports import PageReader


@pytest.mark.slow
def test_report_of_a_run_that_predicts_a_number_agrees_with_evaluate(
    drawn_data: Path, drawn_run: Path
) -> None:
    page = PageReader(sm.report(drawn_data, [drawn_run, drawn_run]).html)
    evaluation: Any = sm.evaluate(drawn_run, mistakes=60)
    points = [part for part in page.data["parts"] if part["title"] == "Predicted and true values"]
    assert sorted(row[:2] for row in points[0]["rows"]) == sorted(map(list, evaluation.points))
    mistakes = [part for part in page.data["parts"] if part["title"] == "Worst mistakes"]
    assert [row[3] for row in mistakes[0]["rows"]] == [it.error for it in evaluation.mistakes]
    assert "R² by epoch" in page.text or "R2 by epoch" in page.text
    metrics = {row[0]: row[1:] for row in page.part("Metrics of both runs")["rows"]}
    error = evaluation.mean_absolute_error
    assert metrics["mean absolute error"] == pytest.approx([error, error, 0])
    assert "The runs have the same options." in page.text
    assert "Classes of both runs" not in [part["title"] for part in page.data["parts"]]
    (column,) = page.part("Columns of the list that the dataset keeps")["rows"]
    assert column[:2] == ["area", "float32"]
