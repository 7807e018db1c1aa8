"""Patterns match exactly the numbered files that they were made of."""

from __future__ import annotations

from fnmatch import fnmatchcase

import hypothesis.strategies as st
from hypothesis import example, given

from records.format.metadata.name_patterns import glob_patterns


def make_names(numbers: set[int], count: int) -> list[str]:
    return [f"index/train-{number:05d}-of-{count:05d}.parquet" for number in sorted(numbers)]


@given(st.integers(1, 130), st.sets(st.integers(0, 129)))
@example(12, {10})
@example(101, {0, 99, 100})
def test_glob_patterns_match_the_given_files_and_no_others(count: int, removed: set[int]) -> None:
    numbers = set(range(count)) - removed
    patterns = glob_patterns(make_names(numbers, count))
    matched = {
        name
        for name in make_names(set(range(count)), count)
        if any(fnmatchcase(name, pattern) for pattern in patterns)
    }
    assert matched == set(make_names(numbers, count))


def test_glob_patterns_of_many_files_are_few() -> None:
    everything = set(range(110_000))
    assert len(glob_patterns(make_names(everything, 110_000))) == 2  # with five and six digits
    assert len(glob_patterns(make_names(everything - {5, 105_000}, 110_000))) <= 12


def test_glob_patterns_of_huge_count_depend_on_files_alone() -> None:
    names = ["a-00000-of-99999999999.tfrecord", "b-000000-of-000001.tfrecord", "c.tfrecord"]
    assert glob_patterns(names) == names


def test_glob_patterns_of_digits_other_than_ascii_are_the_names() -> None:
    digits = [chr(ord("\N{ARABIC-INDIC DIGIT ZERO}") + number) * 5 for number in range(4)]
    names = [f"a-{digits[number]}-of-{digits[3]}.tfrecord" for number in (0, 2)]
    assert glob_patterns(names) == names
