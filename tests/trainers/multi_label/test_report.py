"""The report of a run with several labels per image agrees with its evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import shardmill as sm
from tests.reports import PageReader


@pytest.mark.slow
def test_report_of_a_run_with_several_labels_agrees_with_evaluate(
    drawn_data: Path, drawn_run: Path
) -> None:
    page = PageReader(sm.report(drawn_data, drawn_run).html)
    evaluation: Any = sm.evaluate(drawn_run)
    rows = page.part("Metrics by class, at the thresholds of the run")["rows"]
    assert [row[0] for row in rows] == [each.name for each in evaluation.per_class]
    assert [row[3] for row in rows] == [each.average_precision for each in evaluation.per_class]
    curve = page.part("Threshold of the score")["rows"]
    labels = sum(each.images for each in evaluation.per_class)
    assert curve[0][1] == pytest.approx(labels / (evaluation.images * len(rows)))
    assert curve[0][2] == 1
    assert page.part("Worst mistakes")["rows"]
    assert page.data["classes"] == []
