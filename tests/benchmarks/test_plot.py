"""Plots of results, which are the same files for equal results."""

from pathlib import Path

import pytest

from benchmarks.harness.samples import Result, Sample
from benchmarks.page.plot import plot_results
from benchmarks.suites import conversion, near_duplicates, prediction, raw_shares, reading


def _result(benchmark: str, case: str, names: list[str]) -> Result:
    """Return samples of every contestant on two sizes; later contestants are slower."""
    samples = [
        Sample(
            case,
            size,
            size * 300,
            name,
            0,
            seconds,
            seconds,
            None,
            100_000_000,
            {"stored_bytes": seconds * 1e6},
        )
        for size in (1000, 10_000)
        for seconds, name in enumerate(names, size // 1000)
    ]
    return Result(benchmark, "python -m benchmarks", {}, {}, {}, {}, samples)


_CHECKS = [conversion.HEADER, conversion.DECODE]
_RESULTS = {
    "linear": _result("linear", "small", _CHECKS),
    "raw-shares": _result("raw-shares", "photos", list(raw_shares.SHARES)),
    "large-collection": _result(
        "large-collection", "collection", [*_CHECKS, conversion.LITDATA.name]
    ),
    "prediction": _result("prediction", "photos", [prediction.ONE, prediction.TWO]),
    "near-duplicates": _result("near-duplicates", near_duplicates.HASHES, [near_duplicates.SEARCH]),
    "conversion": _result("conversion", "photos", [*_CHECKS, conversion.LITDATA.name]),
    "reading": _result("reading", "photos", [reading.ORIGINALS, reading.KERAS]),
}


@pytest.mark.parametrize(
    ("names", "file_name"),
    [
        (["linear"], "conversion-linear.png"),
        (["raw-shares"], "raw-shares.png"),
        (["large-collection"], "large-collection.png"),
        (["prediction"], "prediction.png"),
        (["near-duplicates"], "near-duplicates.png"),
        (["conversion", "reading"], "comparison.png"),
    ],
)
def test_plot_results_same_results_give_same_file(
    names: list[str], file_name: str, tmp_path: Path
) -> None:
    results = {name: _RESULTS[name] for name in names}
    for folder in ("first", "second"):
        plot_results(results, tmp_path / folder)
        assert [path.name for path in (tmp_path / folder).iterdir()] == [file_name]
    first, second = (tmp_path / folder / file_name for folder in ("first", "second"))
    assert first.read_bytes() == second.read_bytes()
    assert first.stat().st_size > 5000
