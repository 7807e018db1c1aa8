"""Statistics of samples: medians, ratios, cost of an additional image."""

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
    """Return the reported duration of the work; without one, the wall time of the process."""
    return sample.seconds if sample.work_seconds is None else sample.work_seconds


def cpu_seconds(sample: Sample) -> float:
    """Return the CPU time of the whole process and its children."""
    return sample.cpu_seconds


def peak_bytes(sample: Sample) -> float:
    """Return the peak memory of the process and its children."""
    return sample.peak_bytes


def names_of(samples: Iterable[Sample]) -> list[str]:
    """Return the contestants of samples, in their order."""
    return list(dict.fromkeys(sample.contestant for sample in samples))


def median(
    samples: Sequence[Sample], contestant: str, figure: Callable[[Sample], float] = seconds
) -> float:
    """Return the median figure of a contestant over all rounds."""
    return statistics.median(figure(each) for each in samples if each.contestant == contestant)


def images_per_second(
    samples: Sequence[Sample], contestant: str, figure: Callable[[Sample], float] = seconds
) -> float:
    """Return the number of images, divided by the median time of a contestant."""
    return samples[0].images / median(samples, contestant, figure)


def ratio(
    samples: Sequence[Sample],
    contestant: str,
    to: str,
    figure: Callable[[Sample], float] = seconds,
) -> float:
    """Return the median over all rounds of the figure of a contestant, divided by that of `to`."""
    divisors = {each.round: figure(each) for each in samples if each.contestant == to}
    own = {each.round: figure(each) for each in samples if each.contestant == contestant}
    return statistics.median(own[number] / divisors[number] for number in own)


def slope_seconds(
    result: Result,
    case: str,
    contestant: str,
    figure: Callable[[Sample], float] = work_seconds,
) -> float | None:
    """Return the cost of one additional image, computed from the smallest and the largest size.

    The cost is computed in each round, and the median is returned. If a program reports the
    duration of its work, this duration is used. The start-up is the same at both sizes, but if it
    takes seconds, its variation can exceed the cost of a thousand images.

    Returns:
        seconds per image; None if the contestant was not measured at both sizes.
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
    """Return the time for the smallest size, without the cost of its images at the slope."""
    slope = slope_seconds(result, case, contestant)
    if slope is None:
        return None
    smallest = result.sizes(case)[0]
    return median(result.of(case, smallest), contestant) - smallest * slope
