"""Plots of results, which are the same files for equal results."""

from pathlib import Path

from benchmarks.harness.samples import Result, Sample
from benchmarks.page.plot import plot_linear, plot_raw_shares
from benchmarks.suites import raw_shares


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


def test_plot_raw_shares_same_results_give_same_file(tmp_path: Path) -> None:
    samples = [
        Sample(
            "photos", 100, 5_000_000, share, 0, 9.0, 9.0, 1 / rate, 10**8, {"stored_bytes": size}
        )
        for share, rate, size in zip(
            raw_shares.SHARES, range(1, 6), range(10**6, 6 * 10**6, 10**6), strict=True
        )
    ]
    result = Result("raw-shares", "python -m benchmarks", {}, {}, {}, {}, samples)
    for name in ("first.png", "second.png"):
        plot_raw_shares(result, tmp_path / name)
    assert (tmp_path / "first.png").read_bytes() == (tmp_path / "second.png").read_bytes()
    assert (tmp_path / "first.png").stat().st_size > 5000
