"""Tables of conversion in several processes: measured, by part, and modelled."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from benchmarks.page import statistics
from benchmarks.page.tables import markdown
from benchmarks.suites.processes import (
    CHECKS,
    ONE,
    PLAN,
    PROCESSES,
    READ,
    THREADS,
    WRITE,
    Layout,
)

if TYPE_CHECKING:
    from benchmarks.harness.samples import Result

_CASES = {"photos": "photos", "small": "28×28 PNGs"}
_MODELLED = (1, 2, 4, 8, 16, 32, 64)


def speedup(result: Result, case: str, check: str, layout: Layout = PROCESSES) -> float:
    """Return the speed of a layout for additional images, divided by that of one thread."""
    one, other = (
        statistics.slope_seconds(result, case, each.name(check), statistics.seconds)
        for each in (ONE, layout)
    )
    assert one, "the benchmark has two sizes"
    assert other
    return one / other


def processes_table(result: Result) -> str:
    """Return tables of the measured times, of the cost of each part, and of the model."""
    measured = [_measured(result)] if has_conversions(result) else []
    return "\n\n".join([*measured, _parts(result), _model(result)])


def has_conversions(result: Result) -> bool:
    """Return whether the result contains whole conversions, not only their parts."""
    return ONE.name(CHECKS[0]) in statistics.names_of(result.samples)


def _measured(result: Result) -> str:
    rows = []
    for case in result.cases():
        samples = result.of(case)
        for check in CHECKS:
            seconds = (statistics.median(samples, each.name(check)) for each in (ONE, PROCESSES))
            peaks = (
                statistics.median(samples, each.name(check), statistics.peak_bytes) / 1e6
                for each in (ONE, PROCESSES)
            )
            rows.append(
                [
                    f"{samples[0].images:,} {_CASES[case]}, {check}",
                    *(f"{each:.1f}" for each in seconds),
                    f"{speedup(result, case, check, THREADS):.2f}",
                    f"{speedup(result, case, check):.2f}",
                    *(f"{peak:,.0f}" for peak in peaks),
                ]
            )
    heads = ["", "1 × 1, s", "2 × 1, s", "1 × 2, times as fast", "2 × 1, times as fast"]
    return markdown([*heads, "1 × 1, peak MB", "2 × 1, peak MB"], rows)


class _Costs(NamedTuple):
    """CPU time per image in seconds: sequential work, and work divided among processes."""

    serial: float
    parallel: float

    def rate(self, processes: int) -> float:
        """Return the images per second with this number of processes and cores."""
        return 1 / (self.serial + self.parallel / processes)


def _cost(result: Result, case: str, part: str) -> float:
    samples = result.of(case)
    return statistics.median(samples, part, statistics.work_seconds) / samples[0].images


def _costs(result: Result, case: str, check: str) -> _Costs:
    parts = (_cost(result, case, part) for part in (READ[check], WRITE))
    return _Costs(_cost(result, case, PLAN), sum(parts))


def _parts(result: Result) -> str:
    rows = [
        [part, *(f"{_cost(result, case, part) * 1e6:,.0f}" for case in result.cases())]
        for part in (PLAN, *READ.values(), WRITE)
    ]
    return markdown(["µs of one core per image", *(_CASES[case] for case in result.cases())], rows)


def _model(result: Result) -> str:
    rows = []
    for case in result.cases():
        sample = result.of(case)[0]
        for check in CHECKS:
            costs = _costs(result, case, check)
            most = costs.rate(_MODELLED[-1])
            rows.append(
                [
                    f"{_CASES[case]}, {check}",
                    *(f"{costs.rate(number):,.0f}" for number in _MODELLED),
                    f"{most * sample.bytes / sample.images / 1e6:,.0f}",
                ]
            )
    heads = [f"{number}" for number in _MODELLED]
    return markdown(["images/s by number of processes", *heads, "MB/s with 64"], rows)
