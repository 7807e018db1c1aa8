"""Markdown tables of results."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from benchmarks.page import statistics
from benchmarks.suites import (
    access,
    conversion,
    engines,
    large_collection,
    large_photos,
    near_duplicates,
    serving,
)
from benchmarks.suites.large_collection import published_rate

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.harness.samples import Result, Sample

_CASES = {"photos": "photos", "collection": "photos", "small": "28×28 PNGs", "paths": "paths"}
_COLLECTION_PICTURE = "![Photos per second by program](../pictures/large-collection.png)"
_PREDICTION_PICTURE = "![Photos per second by number of processes](../pictures/prediction.png)"
_SEARCH_PICTURE = "![Time and memory by number of images](../pictures/near-duplicates.png)"


def conversion_table(result: Result) -> str:
    """Return one table per case: figures at the largest size, start-up and slope."""
    return "\n\n".join(_conversion_case(result, case) for case in result.cases())


def _conversion_case(result: Result, case: str) -> str:
    samples = result.of(case)
    rows = []
    for name in present(result, case):
        seconds = statistics.median(samples, name)
        slope = statistics.slope_seconds(result, case, name)
        start_up = statistics.start_up_seconds(result, case, name)
        rows.append(
            [
                name,
                f"{seconds:.1f}",
                f"{statistics.ratio(samples, name, conversion.HEADER):.2f}",
                f"{samples[0].images / seconds:,.0f}",
                f"{samples[0].bytes / seconds / 1e6:,.0f}",
                f"{statistics.median(samples, name, statistics.peak_bytes) / 1e6:,.0f}",
                f"{statistics.median(samples, name, statistics.cpu_seconds):.1f}",
                "" if start_up is None else f"{start_up:.1f}",
                "" if slope is None else f"{slope * 1e6:,.0f}",
            ]
        )
    heads = [
        "program",
        "s",
        "× header",
        "images/s",
        "MB/s",
        "peak MB",
        "CPU s",
        "start-up s",
        "µs per image",
    ]
    return f"{_title(samples)}\n\n{markdown(heads, rows)}"


def _title(samples: Sequence[Sample]) -> str:
    size, size_bytes = samples[0].images, samples[0].bytes
    return f"{size:,} {_CASES[samples[0].case]}, {size_bytes / size / 1e3:.1f} kB each:"


def large_collection_table(result: Result) -> str:
    """Return a table and a picture of images and bytes per second, measured and published."""
    (case,) = result.cases()
    samples = result.of(case)
    published = {peer.name: published_rate(peer.name) for peer in large_collection.PEERS}
    rows = []
    for name in present(result, case, statistics.seconds):
        rate = statistics.images_per_second(samples, name)
        rows.append(
            [
                name,
                f"{statistics.median(samples, name):,.0f}",
                f"{rate:,.0f}",
                f"{rate * samples[0].bytes / samples[0].images / 1e6:,.0f}",
                f"{statistics.median(samples, name, statistics.peak_bytes) / 1e6:,.0f}",
                f"{published[name]:,.0f}" if name in published else "",
            ]
        )
    heads = ["program", "s", "images/s", "MB/s", "peak MB", "published images/s"]
    return f"{_title(samples)}\n\n{markdown(heads, rows)}\n\n{_COLLECTION_PICTURE}"


def prediction_table(result: Result) -> str:
    """Return a table and a picture of the speed of predictions, with start-up and slope."""
    (case,) = result.cases()
    samples = result.of(case)
    rows = []
    for name in present(result, case, statistics.seconds):
        slope = statistics.slope_seconds(result, case, name)
        start_up = statistics.start_up_seconds(result, case, name)
        rows.append(
            [
                name,
                f"{statistics.median(samples, name):.1f}",
                f"{statistics.images_per_second(samples, name):,.1f}",
                f"{statistics.median(samples, name, statistics.peak_bytes) / 1e6:,.0f}",
                f"{statistics.median(samples, name, statistics.cpu_seconds):.1f}",
                "" if start_up is None else f"{start_up:.1f}",
                "" if slope is None else f"{slope * 1e3:,.1f}",
            ]
        )
    heads = ["program", "s", "images/s", "peak MB", "CPU s", "start-up s", "ms per image"]
    return f"{_title(samples)}\n\n{markdown(heads, rows)}\n\n{_PREDICTION_PICTURE}"


def serving_table(result: Result) -> str:
    """Return a table of the speed of a server, and of the times in which it answers."""
    (case,) = result.cases()
    samples = result.of(case)
    work = statistics.work_seconds
    rows = []
    for name in present(result, case, work):
        own = [each.figures for each in samples if each.contestant == name]
        times = [median(each[key] for each in own) for key in ("p50_s", "p99_s") if key in own[0]]
        rows.append(
            [
                name,
                f"{statistics.images_per_second(samples, name, work):,.1f}",
                f"{1 / statistics.ratio(samples, name, serving.PREDICTOR, work):.2f}",
                *([f"{1e3 * each:,.0f}" for each in times] or ["", ""]),
                f"{statistics.median(samples, name, statistics.peak_bytes) / 1e6:,.0f}",
            ]
        )
    heads = ["program", "images/s", "× Predictor", "median ms", "99 % ms", "peak MB"]
    return f"{_title(samples)}\n\n{markdown(heads, rows)}"


def near_duplicates_table(result: Result) -> str:
    """Return a table and a picture of the time and memory of the search, by number of hashes."""
    (case,) = result.cases()
    rows = []
    for size in result.sizes(case):
        samples = result.of(case, size)
        seconds = statistics.median(samples, near_duplicates.SEARCH, statistics.work_seconds)
        peak = statistics.median(samples, near_duplicates.SEARCH, statistics.peak_bytes)
        rows.append([f"{size:,}", f"{seconds:.1f}", f"{peak / 1e6:,.0f}"])
    table = markdown(["images with random hashes", "search s", "peak MB"], rows)
    return f"{table}\n\n{_SEARCH_PICTURE}"


def access_table(result: Result) -> str:
    """Return a table of the records per second that are read by number.

    The ratios compare batches with batches, and single records with single records.
    """
    rows = []
    for name in statistics.names_of(result.samples):
        row = [name]
        ours = access.OPEN_DATASET_BATCHES if name in access.BATCHES else access.OPEN_DATASET
        for case in result.cases():
            samples = result.of(case)
            rate = samples[0].images / statistics.median(samples, name, statistics.work_seconds)
            row += [f"{rate:,.0f}", times_as_fast(result, case, ours, name)]
        rows.append(row)
    heads = [
        head
        for case in result.cases()
        for head in (f"{_CASES[case]}: records/s", "shardmill ÷ library")
    ]
    return markdown(["library", *heads], rows)


def planning_table(result: Result) -> str:
    """Return a table of time and memory to list and plan, with the time of planning alone."""
    (case,) = result.cases()
    rows = []
    for name in statistics.names_of(result.samples):
        samples = result.of(case)
        work = statistics.median(samples, name, statistics.work_seconds)
        seconds = statistics.median(samples, name)
        has_planning_time = samples[-1].work_seconds is not None and work != seconds
        rows.append(
            [
                name,
                f"{samples[0].images:,}",
                f"{seconds:.1f}",
                f"{work:.1f}" if has_planning_time else "",
                f"{statistics.median(samples, name, statistics.peak_bytes) / 1e6:,.0f}",
            ]
        )
    return markdown(["measurement", "images", "s", "planning s", "peak MB"], rows)


def linear_table(result: Result) -> str:
    """Return a table of the time and memory of `convert`, by number of images."""
    (case,) = result.cases()
    names = statistics.names_of(result.samples)
    rows = []
    for size in result.sizes(case):
        samples = result.of(case, size)
        row = [f"{size:,}"]
        for name in names:
            seconds = statistics.median(samples, name)
            peak = statistics.median(samples, name, statistics.peak_bytes)
            row += [f"{seconds:.1f}", f"{peak / 1e6:,.0f}"]
        rows.append(row)
    heads = [head for name in names for head in (f"{name}: s", "peak MB")]
    return markdown([_CASES[case], *heads], rows)


def engines_table(result: Result) -> str:
    """Return a table of the engines: speed, and time compared with the local runner."""
    (case,) = result.cases()
    samples = result.of(case)
    here = {place.workers: place.name for place in engines.LOCAL}
    rows = []
    for place in engines.PLACES:
        if place.name not in statistics.names_of(samples):
            continue
        seconds = statistics.median(samples, place.name, statistics.work_seconds)
        over = statistics.ratio(samples, place.name, here[place.workers], statistics.work_seconds)
        slope = statistics.slope_seconds(result, case, place.name)
        rows.append(
            [
                place.name,
                str(place.workers),
                f"{seconds:.1f}",
                f"{samples[0].images / seconds:,.0f}",
                f"{over:.2f}",
                "" if slope is None else f"{seconds - slope * samples[0].images:.1f}",
                "" if slope is None else f"{slope * 1e6:,.0f}",
            ]
        )
    heads = ["runner", "workers", "s", "images/s", "× local", "start-up s", "µs per image"]
    return f"{samples[0].images:,} photos:\n\n{markdown(heads, rows)}"


def large_photos_table(result: Result) -> str:
    """Return a table of the CPU time of an additional photo, and its ratio to libvips."""
    (case,) = result.cases()
    slopes = {
        name: statistics.slope_seconds(result, case, name, statistics.cpu_seconds) or 0
        for name in statistics.names_of(result.samples)
    }
    rows = [
        [name, f"{slope * 1e3:.1f}", f"{slope / slopes[large_photos.VIPS]:.2f}"]
        for name, slope in sorted(slopes.items(), key=lambda item: item[1])
    ]
    return markdown(["program", "CPU ms per photo", "× libvips"], rows)


def environment_table(results: Sequence[Result]) -> str:
    """Return a table of the machine, the data and all versions of the results."""
    facts: dict[str, str] = {}
    for result in results:
        facts |= {**result.machine, **result.data, **result.versions}
        facts |= {name: f"could not run: {why}" for name, why in result.failed.items()}
    return markdown(
        ["item", "description"], [[name, fact.replace("|", " ")] for name, fact in facts.items()]
    )


def markdown(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; all columns except the first are aligned to the right."""
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def present(
    result: Result, case: str, figure: Callable[[Sample], float] = statistics.work_seconds
) -> list[str]:
    """Return the contestants of a case, that with the lowest figure first."""
    samples = result.of(case)
    return sorted(
        statistics.names_of(samples), key=lambda name: statistics.median(samples, name, figure)
    )


def times_as_fast(result: Result, case: str, name: str, than: str) -> str:
    """Return the speed of `name` divided by that of `than`; empty if one was not measured."""
    samples = result.of(case)
    if not {name, than} <= set(statistics.names_of(samples)):
        return ""
    return f"{statistics.ratio(samples, than, name, statistics.work_seconds):.2f}"
