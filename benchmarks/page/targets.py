"""Comparison of the measurements with targets."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from benchmarks.inputs.pictures import PHOTOS, SMALL
from benchmarks.page import statistics
from benchmarks.page.processes import has_conversions, speedup
from benchmarks.page.tables import markdown
from benchmarks.suites import access, conversion, large_photos, large_plan, planning, reading
from benchmarks.suites import processes as in_processes
from benchmarks.suites.conversion import DECODE, HEADER, PILLOW, PLAIN_LOOP

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from benchmarks.harness.samples import Result


class Target(NamedTuple):
    """Target of a quantity: description, measured value, and minimum or maximum."""

    text: str
    measured: float
    bound: float
    is_least: bool

    @property
    def is_met(self) -> bool:
        """Whether the measured value is within the bound."""
        return self.measured >= self.bound if self.is_least else self.measured <= self.bound


def check_targets(results: Mapping[str, Result]) -> list[Target]:
    """Return the targets of all benchmarks for which results exist."""
    return [
        target
        for name, check in _CHECKS.items()
        if name in results
        for target in check(results[name])
    ]


def targets_table(results: Mapping[str, Result]) -> str:
    """Return a table with one row per target."""
    rows = [
        [
            target.text,
            f"{'at least' if target.is_least else 'at most'} {target.bound:g}",
            f"{target.measured:.3g}",
            "yes" if target.is_met else "**no**",
        ]
        for target in check_targets(results)
    ]
    return markdown(["quantity", "target", "measured", "met"], rows)


def _check_conversion(result: Result) -> Iterator[Target]:
    for case in result.cases():
        samples = result.of(case)
        if HEADER not in statistics.names_of(samples):
            continue
        names = statistics.names_of(samples)
        peers = [peer.name for peer in conversion.PEER_WRITERS if peer.name in names]
        for peer in peers:
            factor = _LEAST_RATIOS.get((peer, case), 1.0)
            measured = statistics.ratio(samples, peer, HEADER)
            text = f"{case}, time of the whole process: {peer} ÷ shardmill"
            yield Target(text, measured, factor, is_least=True)
        peaks = {name: statistics.median(samples, name, statistics.peak_bytes) for name in names}
        yield Target(f"{case}, peak memory in MB", peaks[HEADER] / 1e6, 250, is_least=False)
        if peers:
            lowest = peaks[HEADER] / min(peaks[peer] for peer in peers)
            yield Target(f"{case}, peak memory: shardmill ÷ best peer", lowest, 1, is_least=False)
        yield from _check_slopes(result, case)


def _check_slopes(result: Result, case: str) -> Iterator[Target]:
    for name, than, bound, text in (
        (HEADER, PLAIN_LOOP, 1.25, "header check ÷ plain loop"),
        (DECODE, PILLOW, 1.25, "decode check ÷ Pillow, decoding alone"),
    ):
        own, theirs = (statistics.slope_seconds(result, case, each) for each in (name, than))
        if own and theirs:
            yield Target(f"{case}, time per image: {text}", own / theirs, bound, is_least=False)


def _check_reading(result: Result) -> Iterator[Target]:
    samples = result.of(PHOTOS)
    for name, than, least in (
        (reading.ORIGINALS, reading.KERAS, 1),
        (reading.ORIGINALS, reading.TORCHVISION, 2),
        (reading.RESIZED, reading.KERAS, 2),
        (reading.RAW, reading.KERAS, 4),
    ):
        if {name, than} <= set(statistics.names_of(result.samples)):
            measured = statistics.ratio(samples, than, name, statistics.work_seconds)
            yield Target(f"reading, speed: {name} ÷ {than}", measured, least, is_least=True)


def _check_access(result: Result) -> Iterator[Target]:
    for case in result.cases():
        names = statistics.names_of(result.samples)
        for than in (name for name in (access.MDS, access.WIDS) if name in names):
            measured = statistics.ratio(
                result.of(case), than, access.OPEN_DATASET, statistics.work_seconds
            )
            yield Target(
                f"{case}, single records, speed: shardmill ÷ {than}", measured, 1, is_least=True
            )


def _check_planning(result: Result) -> Iterator[Target]:
    samples = result.of(planning.PATHS)
    if planning.DRY_RUN not in statistics.names_of(samples):
        return
    paths = f"{samples[0].images:,} paths, listing and planning"
    seconds = statistics.median(samples, planning.DRY_RUN)
    yield Target(f"{paths}: time in s", seconds, 20, is_least=False)
    peak = statistics.median(samples, planning.DRY_RUN, statistics.peak_bytes)
    yield Target(f"{paths}: peak memory in MB", peak / 1e6, 1000, is_least=False)


def _check_large_plan(result: Result) -> Iterator[Target]:
    images = f"{result.samples[0].images:,} images, planning"
    seconds = statistics.median(result.samples, large_plan.PLAN)
    yield Target(f"{images}: time in s", seconds, 300, is_least=False)
    peak = statistics.median(result.samples, large_plan.PLAN, statistics.peak_bytes)
    yield Target(f"{images}: peak memory in MB", peak / 1e6, 2000, is_least=False)


def _check_processes(result: Result) -> Iterator[Target]:
    if not has_conversions(result):
        return
    for case in result.cases():
        for check in in_processes.CHECKS:
            text = f"{case}, {check} check, speed: two processes ÷ one thread, additional images"
            yield Target(text, speedup(result, case, check), 1.8, is_least=True)


def _check_large_photos(result: Result) -> Iterator[Target]:
    (case,) = result.cases()
    ours, vips = (
        statistics.slope_seconds(result, case, name, statistics.cpu_seconds)
        for name in (large_photos.RESIZE, large_photos.VIPS)
    )
    if ours and vips:
        text = f"{case}, CPU time: {large_photos.RESIZE} ÷ {large_photos.VIPS}"
        yield Target(text, ours / vips, 1.3, is_least=False)


_LEAST_RATIOS = {
    (conversion.TFDS_BEAM, PHOTOS): 3.0,
    (conversion.TFDS_BEAM, SMALL): 3.0,
    (conversion.NAIVE_BEAM, PHOTOS): 4.0,
    (conversion.NAIVE_BEAM, SMALL): 3.0,
}
_CHECKS: dict[str, Callable[[Result], Iterator[Target]]] = {
    "conversion": _check_conversion,
    "reading": _check_reading,
    "access": _check_access,
    "planning": _check_planning,
    "large-plan": _check_large_plan,
    "processes": _check_processes,
    "large-photos": _check_large_photos,
}
