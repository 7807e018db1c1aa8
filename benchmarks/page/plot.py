"""Plot of the cost of a conversion by number of images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.page import statistics

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.harness.samples import Result


def plot_linear(result: Result, path: Path) -> None:
    """Plot seconds and peak memory over images, both image axes logarithmic, as a PNG."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

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
