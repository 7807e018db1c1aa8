"""Readers of untrusted files, on mutated files and on findings of fuzzers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.mutations import Edit, apply, edits, reseal
from tests.fuzz.targets import TARGETS

CASES = sorted((Path(__file__).parent / "cases").iterdir())
FEW = settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow])
MANY = settings(max_examples=5000, derandomize=False, suppress_health_check=[HealthCheck.too_slow])
BLANKS = [chr(code) for code in range(0x3001) if chr(code).isspace()]
WORDS = ["\0", "\ufeff", "a", "a.jpg", "/", "1", "0", "٣", "-", ",", ";", "|", '"', "'", "{", "["]
short_texts = st.lists(st.sampled_from(BLANKS) | st.sampled_from(WORDS), max_size=12).map("".join)


def check_damaged(name: str, data: st.DataObject, damage: Sequence[Edit]) -> None:
    target = TARGETS[name]
    damaged = apply(data.draw(st.sampled_from(target.seeds())), damage)
    if name in {"framing", "tfrecords"} and data.draw(st.booleans()):
        damaged = reseal(damaged)
    target.check(damaged)


@pytest.mark.parametrize("name", TARGETS)
@given(data=st.data(), damage=edits)
@FEW
def test_target_damaged_file_raises_only_expected_errors(
    name: str, data: st.DataObject, damage: Sequence[Edit]
) -> None:
    check_damaged(name, data, damage)


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
@given(data=st.data(), damage=edits)
@MANY
def test_target_5000_damaged_files_raise_only_expected_errors(
    name: str, data: st.DataObject, damage: Sequence[Edit]
) -> None:
    check_damaged(name, data, damage)


@pytest.mark.parametrize("name", TARGETS)
@given(content=st.binary(max_size=200))
@FEW
def test_target_random_bytes_raise_only_expected_errors(name: str, content: bytes) -> None:
    TARGETS[name].check(content)


@pytest.mark.parametrize("name", ["list", "labels"])
@given(text=short_texts)
@settings(max_examples=400)
def test_target_short_texts_raise_only_expected_errors(name: str, text: str) -> None:
    TARGETS[name].check(text.encode())


@pytest.mark.parametrize("name", TARGETS)
def test_target_intact_seed_files_are_read(name: str) -> None:
    for seed in TARGETS[name].seeds():
        TARGETS[name].check(seed)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_target_regression_case_passes(case: Path) -> None:
    """A case's name begins with its target's."""
    TARGETS[case.name.partition("-")[0]].check(case.read_bytes())
