"""Statistics of samples: medians, ratios, cost of one more image."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from benchmarks.harness.samples import Result, Sample


def seconds(sample: Sample) -> float:
    """Return the wall time of the whole process."""
    return sample.seconds


def work_seconds(sample: Sample) -> float:
    """Return the duration of the work if the program reports it, else of the whole process."""
    return sample.seconds if sample.work_seconds is None else sample.work_seconds


def cpu_seconds(sample: Sample) -> float:
    """Return the CPU time of the whole process and its children."""
    return sample.cpu_seconds


def peak_bytes(sample: Sample) -> float:
    """Return the memory of the process and its children at its peak."""
    return sample.peak_bytes


def names_of(samples: Iterable[Sample]) -> list[str]:
    """Return the contestants of samples, in their order."""
    return list(dict.fromkeys(sample.contestant for sample in samples))


def median(
    samples: Sequence[Sample], contestant: str, figure: Callable[[Sample], float] = seconds
) -> float:
    """Return a contestant's median over the rounds."""
    return statistics.median(figure(each) for each in samples if each.contestant == contestant)


def ratio(
    samples: Sequence[Sample],
    contestant: str,
    to: str,
    figure: Callable[[Sample], float] = seconds,
) -> float:
    """Return a contestant's figure divided by another's: the median of the rounds' ratios."""
    theirs = {each.round: figure(each) for each in samples if each.contestant == to}
    own = {each.round: figure(each) for each in samples if each.contestant == contestant}
    return statistics.median(own[number] / theirs[number] for number in own)


def slope_seconds(
    result: Result,
    case: str,
    contestant: str,
    figure: Callable[[Sample], float] = work_seconds,
) -> float | None:
    """Return the cost of one more image between the smallest and the largest size, median by round.

    For programs that report the duration of their work, that is the basis: start-up is the same at
    both sizes, but if it takes seconds, its variation would exceed the cost of a thousand images.
    Return None if the contestant was measured at one size only, or not at all.
    """
    smallest, largest = min(result.sizes(case)), max(result.sizes(case))
    rounds = [
        {each.round: figure(each) for each in samples if each.contestant == contestant}
        for samples in (result.of(case, smallest), result.of(case, largest))
    ]
    both = rounds[0].keys() & rounds[1].keys()
    if smallest == largest or not both:
        return None
    slopes = [(rounds[1][number] - rounds[0][number]) / (largest - smallest) for number in both]
    return statistics.median(slopes)


def start_up_seconds(result: Result, case: str, contestant: str) -> float | None:
    """Return the smallest size's time without the cost of its images at their slope."""
    slope = slope_seconds(result, case, contestant)
    if slope is None:
        return None
    smallest = result.sizes(case)[0]
    return median(result.of(case, smallest), contestant) - smallest * slope
