"""Tables, targets and the page, made from results."""

from pathlib import Path

import pytest

from benchmarks.harness.samples import Result, Sample, write_result
from benchmarks.page.page import fill, make_tables, read_results
from benchmarks.page.statistics import ratio, slope_seconds, start_up_seconds
from benchmarks.page.targets import check_targets
from benchmarks.suites import access, conversion, planning, reading

_DISTURBED = (1.0, 1.5, 1.0)


def result(benchmark: str, samples: list[Sample]) -> Result:
    return Result(benchmark, "python -m benchmarks", {"cores": "2"}, {}, {}, {}, samples)


def samples(  # every figure of the second round is half as large again: a disturbed round
    contestant: str, images: int, seconds: float, *, work: float | None = None, case: str = "photos"
) -> list[Sample]:
    return [
        Sample(
            case,
            images,
            images * 50_000,
            contestant,
            number,
            seconds * factor,
            2 * seconds * factor,
            None if work is None else work * factor,
            100_000_000,
        )
        for number, factor in enumerate(_DISTURBED)
    ]


@pytest.fixture
def results() -> dict[str, Result]:
    """Return round figures for each benchmark."""
    of_conversion = [
        *samples(conversion.HEADER, 1000, 3.0),
        *samples(conversion.HEADER, 5000, 5.0),
        *samples(conversion.PLAIN_LOOP, 1000, 10.0),
        *samples(conversion.PLAIN_LOOP, 5000, 11.0),
    ]
    of_reading = [
        *samples(reading.RAW, 1000, 9.0, work=0.25),
        *samples(reading.KERAS, 1000, 9.0, work=1.0),
    ]
    of_access = [
        *samples(access.OPEN_DATASET, 1000, 3.0, work=0.1),
        *samples(access.WIDS, 1000, 3.0, work=0.05),
    ]
    of_planning = [
        *samples(planning.DRY_RUN, 1000, 25.0, case="paths"),
        *samples(planning.PLAN, 1000, 24.0, work=4.0, case="paths"),
    ]
    of_linear = [*samples(conversion.HEADER, 1000, 3.0), *samples(conversion.HEADER, 5000, 5.0)]
    return {
        "conversion": result("conversion", of_conversion),
        "reading": result("reading", of_reading),
        "access": result("access", of_access),
        "planning": result("planning", of_planning),
        "linear": result("linear", of_linear),
    }


def test_slope_and_start_up_use_median_of_rounds(results: dict[str, Result]) -> None:
    converted = results["conversion"]
    assert slope_seconds(converted, "photos", conversion.HEADER) == pytest.approx(2 / 4000)
    assert start_up_seconds(converted, "photos", conversion.HEADER) == pytest.approx(2.5)


def test_slope_single_size_is_none(results: dict[str, Result]) -> None:
    assert slope_seconds(results["reading"], "photos", reading.RAW) is None


def test_ratio_is_median_of_per_round_ratios(results: dict[str, Result]) -> None:
    largest = results["conversion"].of("photos")
    assert ratio(largest, conversion.PLAIN_LOOP, conversion.HEADER) == pytest.approx(2.2)


def test_make_tables_rows_match_results(results: dict[str, Result]) -> None:
    tables = make_tables(results)
    assert (
        "| convert --check header | 5.0 | 1.00 | 1,000 | 50 | 100 | 10.0 | 2.5 | 500 |"
        in tables["conversion"].splitlines()
    )
    assert tables["reading"].splitlines()[-2].endswith("| 4,000 | 4.00 |  | 100 |")
    assert tables["access"].splitlines()[-1].endswith("| 20,000 | 0.50 |")
    assert tables["planning"].splitlines()[-1].endswith("| 1,000 | 24.0 | 4.0 | 100 |")
    assert tables["linear"].splitlines()[-1] == "| 5,000 | 5.0 | 100 |"


def test_check_targets_reports_met_and_unmet_targets(results: dict[str, Result]) -> None:
    met = {target.text: target.is_met for target in check_targets(results)}
    assert met["photos, time of the whole process: plain loop, TFRecordWriter ÷ shardmill"]
    assert not met["photos, time per image: header check ÷ plain loop"]
    assert met[f"reading, speed: {reading.RAW} ÷ {reading.KERAS}"]
    assert not met[f"photos, single records, speed: shardmill ÷ {access.WIDS}"]
    assert not met["1,000 paths, listing and planning: time in s"]


def test_results_round_trip_is_equal(results: dict[str, Result], tmp_path: Path) -> None:
    for each in results.values():
        write_result(each, tmp_path)
    assert read_results(tmp_path) == results


def test_fill_replaces_table_between_markers() -> None:
    page = "a\n<!-- table: linear -->\nold\n<!-- end of table -->\nb\n"
    filled = "a\n<!-- table: linear -->\n\n| new |\n\n<!-- end of table -->\nb\n"
    assert fill(page, {"linear": "| new |"}) == filled
    assert fill(filled, {"linear": "| new |"}) == filled
    assert "Not measured yet." in fill(page, {})
