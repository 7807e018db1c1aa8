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
    page = PageReader(sm.report(drawn_data, [drawn_run, drawn_run], explain=True).html)
    evaluation: Any = sm.evaluate(drawn_run)
    tables = [part for part in page.data["parts"] if part["title"].startswith("Metrics by class")]
    rows = tables[0]["rows"]
    assert [row[0] for row in rows] == [each.name for each in evaluation.per_class]
    assert [row[3] for row in rows] == [each.average_precision for each in evaluation.per_class]
    curve = first_part(page, "Threshold of the score")["rows"]
    labels = sum(each.images for each in evaluation.per_class)
    assert curve[0][1] == pytest.approx(labels / (evaluation.images * len(rows)))
    assert curve[0][2] == 1
    assert first_part(page, "Worst mistakes")["overlays"]
    assert first_part(page, "Calibration: share of images with the label by score")["rows"]
    assert page.data["classes"] == []
    metrics = {row[0]: row[1:] for row in page.part("Metrics of both runs")["rows"]}
    mean = evaluation.mean_average_precision
    assert metrics["mean average precision"] == pytest.approx([mean, mean, 0])
    assert [row[1] for row in page.part("Classes of both runs")["rows"]] == [row[3] for row in rows]
    assert sum(row[1] for row in page.part("Labels per image")["rows"]) == len(
        [record for split in sm.open_dataset(drawn_data).values() for record in split]
    )


def first_part(page: PageReader, title: str) -> dict[str, Any]:
    return next(part for part in page.data["parts"] if part["title"] == title)
