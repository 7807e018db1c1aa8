"""HTML of evaluations for notebooks."""

from __future__ import annotations

import numpy as np
import pytest

from trainers.config import Target
from trainers.evaluation.label_metrics import LabelMetricsAccumulator
from trainers.evaluation.metrics import MetricsAccumulator
from trainers.evaluation.value_metrics import ValueMetricsAccumulator

HOSTILE = "<script>alert(1)</script>"


@pytest.mark.parametrize(("classes", "has_matrix"), [(3, True), (40, False)])
def test_evaluation_html_has_metrics_and_a_small_matrix(classes: int, has_matrix: bool) -> None:
    names = [HOSTILE, *(f"class {number}" for number in range(1, classes))]
    accumulator = MetricsAccumulator(classes)
    logits = np.eye(classes, dtype=np.float32)
    accumulator.add(logits[[0, 1, 2, 2]], np.array([0, 1, 1, 2]))
    text = accumulator.summarize("test", names)._repr_html_()
    assert "<th>accuracy</th><td>75.0% (95% CI" in text
    assert ("predicted" in text) == has_matrix
    assert ("and 24 more classes" in text) == (not has_matrix)
    assert "<script" not in text
    if has_matrix:
        assert "<th>class 1</th><td></td><td>1</td><td>1</td>" in text


def test_evaluation_html_of_several_labels_and_of_a_number_have_their_metrics() -> None:
    accumulator = LabelMetricsAccumulator([0.5, 0.5])
    accumulator.add(np.array([[2.0, -2.0], [-2.0, 2.0]]), np.array([[1.0, 0.0], [1.0, 1.0]]))
    text = accumulator.summarize("test", [HOSTILE, "round"])._repr_html_()
    assert "<th>mean average precision</th><td>100.0%</td>" in text
    assert "<script" not in text
    values = ValueMetricsAccumulator(Target(HOSTILE, 0.0, 1.0))
    values.add(np.array([1.0, 2.0]), np.array([1.0, 4.0]))
    text = values.summarize("test")._repr_html_()
    assert "<th>mean absolute error</th><td>1</td>" in text
    assert "<script" not in text
