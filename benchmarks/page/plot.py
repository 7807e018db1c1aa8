"""Plots of the performance page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.page import reading as page_reading
from benchmarks.page import statistics
from benchmarks.suites import conversion, reading

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from matplotlib.axes import Axes

    from benchmarks.harness.samples import Result

_BAR_INCHES = 0.34


def plot_linear(result: Result, path: Path) -> None:
    """Write a PNG with plots of time and peak memory by number of images, on logarithmic axes."""
    pyplot = _import_pyplot()
    (case,) = result.cases()
    sizes = result.sizes(case)
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    most_mb = 0.0
    for name in statistics.names_of(result.samples):
        by_size = [result.of(case, size) for size in sizes]
        left.plot(sizes, [statistics.median(each, name) for each in by_size], "o-", label=name)
        peaks = [statistics.median(each, name, statistics.peak_bytes) / 1e6 for each in by_size]
        right.plot(sizes, peaks, "o-", label=name)
        most_mb = max(most_mb, *peaks)
    left.set(xscale="log", yscale="log", xlabel="images", ylabel="seconds, whole process")
    right.set(xscale="log", ylim=(0, 1.2 * most_mb), xlabel="images", ylabel="peak memory, MB")
    for axes in (left, right):
        axes.grid(alpha=0.3)
    left.legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, metadata={"Software": None})
    pyplot.close(figure)


def plot_comparison(converted: Result, read: Result, path: Path) -> None:
    """Write a PNG that compares shardmill with peers: conversion time, and reading speed."""
    samples, epoch = converted.of("photos"), read.of("photos")
    bars = max(len(statistics.names_of(each)) for each in (samples, epoch))
    size_inches = (12, max(3.4, _BAR_INCHES * bars))
    pyplot = _import_pyplot()
    figure, (left, right) = pyplot.subplots(1, 2, figsize=size_inches, layout="constrained")
    names = [name for name in statistics.names_of(samples) if name != conversion.PILLOW]
    seconds = {name: statistics.median(samples, name) for name in names}
    _draw_bars(left, seconds, ours={conversion.HEADER, conversion.DECODE})
    left.set(title=f"Seconds to convert {samples[0].images:,} photos")
    rates = {
        name: epoch[0].images / statistics.median(epoch, name, statistics.work_seconds)
        for name in statistics.names_of(epoch)
    }
    _draw_bars(right, rates, ours=set(reading.FORMS))
    right.set(title="Photos per second in training")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, metadata={"Software": None})
    pyplot.close(figure)


def plot_raw_shares(result: Result, path: Path) -> None:
    """Write a PNG with a plot of reading speed by size of a stored photo, for every share."""
    pyplot = _import_pyplot()
    figure, axes = pyplot.subplots(figsize=(6, 3.6), layout="constrained")
    points = page_reading.raw_share_points(result)
    axes.plot([each.kilobytes for each in points], [each.rate for each in points], "o-")
    for each in points:
        place = (each.kilobytes, each.rate)
        axes.annotate(f"  {each.share}", place, va="top")
    axes.set(xlabel="kB per stored photo", ylabel="photos per second", ylim=(0, None))
    axes.set(title="Share of photos stored as raw pixels", xlim=(0, None))
    axes.grid(alpha=0.3)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, metadata={"Software": None})
    pyplot.close(figure)


def _draw_bars(axes: Axes, values: Mapping[str, float], *, ours: set[str]) -> None:
    names = sorted(values, key=lambda name: -values[name])
    colours = ["#00897b" if name in ours else "#b0bec5" for name in names]
    bars = axes.barh(range(len(names)), [values[name] for name in names], color=colours)
    axes.set_yticks(range(len(names)), [f"shardmill: {it}" if it in ours else it for it in names])
    labels = [f"{values[name]:,.{0 if values[name] >= 100 else 1}f}" for name in names]
    axes.bar_label(bars, labels=labels, padding=3)
    axes.set_xlim(0, 1.12 * max(values.values()))
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.xaxis.set_visible(False)


def _import_pyplot() -> Any:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    return pyplot
