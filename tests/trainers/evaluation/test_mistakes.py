"""The heap of the worst mistakes, against sorting all of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainers.evaluation.mistakes import WorstMistakes

batches = st.lists(
    st.lists(st.tuples(st.integers(0, 2), st.integers(34, 40)), max_size=8), max_size=6
)


@given(batches, st.integers(0, 10))
def test_worst_mistakes_keeps_highest_scores_and_first_of_ties(
    drawn: list[list[tuple[int, int]]], most: int
) -> None:
    worst = WorstMistakes(most)
    wrong, number = [], 0
    for batch in drawn:
        scores = np.zeros((len(batch), 3))
        keys = np.array([b"%d" % (number + place) for place in range(len(batch))], object)
        for place, (label, percent) in enumerate(batch):
            scores[place] = (1 - percent / 100) / 2
            scores[place, 1] = percent / 100
            if label != 1:
                wrong.append((-percent / 100, number + place, label))
        worst.add(scores, np.array([label for label, _ in batch], np.int64), keys)
        number += len(batch)
    expected = [(-minus, b"%d" % place, label, 1) for minus, place, label in sorted(wrong)][:most]
    found = [(each.score, each.key, each.label, each.predicted) for each in worst.ranked()]
    assert found == [(pytest.approx(score), *rest) for score, *rest in expected]
