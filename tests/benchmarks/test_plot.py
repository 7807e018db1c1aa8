"""The plot of results, which is the same file for equal results."""

from pathlib import Path

from benchmarks.harness.samples import Result, Sample
from benchmarks.page.plot import plot_linear


def test_plot_linear_same_results_give_same_file(tmp_path: Path) -> None:
    samples = [
        Sample("small", size, size * 300, name, 0, size / 1e4, size / 1e4, None, 100_000_000)
        for size in (1000, 10_000)
        for name in ("header", "decode")
    ]
    result = Result("linear", "python -m benchmarks", {}, {}, {}, {}, samples)
    for name in ("first.png", "second.png"):
        plot_linear(result, tmp_path / name)
    assert (tmp_path / "first.png").read_bytes() == (tmp_path / "second.png").read_bytes()
    assert (tmp_path / "first.png").stat().st_size > 5000
