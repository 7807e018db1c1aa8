"""Plots of the performance page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.page import reading as page_reading
from benchmarks.page import statistics
from benchmarks.suites import conversion, large_collection, reading
from benchmarks.suites.large_collection import published_rate

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from pathlib import Path

    from matplotlib.axes import Axes

    from benchmarks.harness.samples import Result

_BAR_INCHES = 0.34


def plot_results(results: Mapping[str, Result], folder: Path) -> None:
    """Write the plots of all results to a folder.

    Args:
        results: the results by the name of the benchmark.
        folder: the folder of the PNG files, which is made if it does not exist.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, (plot, file_name) in _PLOTS.items():
        if name in results:
            plot(results[name], folder / file_name)
    if {"conversion", "reading"} <= results.keys():
        plot_comparison(results["conversion"], results["reading"], folder / "comparison.png")


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
    figure.savefig(path, dpi=110, metadata={"Software": None})
    pyplot.close(figure)


def plot_comparison(converted: Result, read: Result, path: Path) -> None:
    """Write a PNG that compares shardmill with peers: conversion time, and reading speed."""
    samples, epoch = converted.of("photos"), read.of("photos")
    names = [name for name in statistics.names_of(samples) if name != conversion.PILLOW]
    seconds = {name: statistics.median(samples, name) for name in names}
    rates = {
        name: statistics.images_per_second(epoch, name, statistics.work_seconds)
        for name in statistics.names_of(epoch)
    }
    ours = {conversion.HEADER, conversion.DECODE, *reading.FORMS}
    panels = {
        f"Seconds to convert {samples[0].images:,} photos": seconds,
        "Photos per second in training": rates,
    }
    _plot_bars(panels, ours, path)


def plot_large_collection(result: Result, path: Path) -> None:
    """Write a PNG of the photos per second of programs: measured here, and published."""
    # Only the library: LitData does not publish how its writers were configured.
    published = {
        peer.name.partition(" ")[0]: published_rate(peer.name) for peer in large_collection.PEERS
    }
    panels = {
        "Photos per second, measured here": _rates(result),
        "Published by LitData, other machine": published,
    }
    _plot_bars(panels, {conversion.HEADER, conversion.DECODE}, path)


def plot_prediction(result: Result, path: Path) -> None:
    """Write a PNG of the photos per second that the command predicts."""
    rates = _rates(result)
    _plot_bars({"Photos per second, ResNet-18": rates}, rates.keys(), path)


def _rates(result: Result) -> dict[str, float]:
    """Return the images per second of whole processes, for the largest size of the only case."""
    (case,) = result.cases()
    samples = result.of(case)
    names = statistics.names_of(samples)
    return {name: statistics.images_per_second(samples, name) for name in names}


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
    figure.savefig(path, dpi=110, metadata={"Software": None})
    pyplot.close(figure)


def _plot_bars(
    panels: Mapping[str, Mapping[str, float]], ours: Collection[str], path: Path
) -> None:
    """Write a PNG with bars in a panel for each title; the bars of `ours` have another colour."""
    pyplot = _import_pyplot()
    size_inches = (6 * len(panels), max(3.4, _BAR_INCHES * max(map(len, panels.values()))))
    figure, axes = pyplot.subplots(
        1, len(panels), figsize=size_inches, layout="constrained", squeeze=False
    )
    for each, (title, values) in zip(axes[0], panels.items(), strict=True):
        _draw_bars(each, values, ours=ours)
        each.set(title=title)
    figure.savefig(path, dpi=110, metadata={"Software": None})
    pyplot.close(figure)


def _draw_bars(axes: Axes, values: Mapping[str, float], *, ours: Collection[str]) -> None:
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


_PLOTS: dict[str, tuple[Callable[[Result, Path], None], str]] = {
    "linear": (plot_linear, "conversion-linear.png"),
    "raw-shares": (plot_raw_shares, "raw-shares.png"),
    "large-collection": (plot_large_collection, "large-collection.png"),
    "prediction": (plot_prediction, "prediction.png"),
    "near-duplicates": (plot_linear, "near-duplicates.png"),
}
"""Function and file name of the plot of a benchmark."""
