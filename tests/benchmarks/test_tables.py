"""Tables, targets and the page, made from results."""

from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from benchmarks.__main__ import main
from benchmarks.harness.samples import Result, Sample, write_result
from benchmarks.inputs.pictures import COLLECTION
from benchmarks.page.page import fill, make_tables, read_results
from benchmarks.page.statistics import ratio, slope_seconds, start_up_seconds
from benchmarks.page.targets import check_targets
from benchmarks.suites import (
    accelerators,
    access,
    conversion,
    export_latency,
    large_collection,
    near_duplicates,
    planning,
    prediction,
    reading,
    remote_reading,
    serving,
)

_DISTURBED = (1.0, 1.5, 1.0)


def result(benchmark: str, samples: list[Sample]) -> Result:
    return Result(benchmark, "python -m benchmarks", {"cores": "2"}, {}, {}, {}, samples)


def samples(  # every figure of the second round is half as large again: a disturbed round
    contestant: str,
    images: int,
    seconds: float,
    *,
    work: float | None = None,
    case: str = "photos",
    figures: dict[str, float] | None = None,
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
            figures or {},
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
        *samples(reading.ORIGINALS, 1000, 9.0, work=0.5),
        *samples(reading.KERAS, 1000, 9.0, work=1.0),
        *samples(reading.ORIGINALS, 1000, 9.0, work=0.8, case=reading.CROPS),
        *samples(reading.GRAIN.name, 1000, 9.0, work=0.4, case=reading.CROPS),
    ]
    of_jpeg_decoders = [
        *samples("tensorflow-decode", 1000, 9.0, work=0.9),
        *samples("tensorflow-resize", 1000, 9.0, work=1.4),
        *samples("simplejpeg-decode", 1000, 9.0, work=0.8),
    ]
    of_remote_reading = [
        *samples(remote_reading.STREAMED, 1000, 9.0, work=0.1, case=remote_reading.BYTES),
        *samples(remote_reading.COPIED, 1000, 9.0, work=0.1, case=remote_reading.BYTES),
        *samples(reading.MDS.name, 1000, 9.0, work=0.4, case=remote_reading.BYTES),
        *samples(remote_reading.STREAMED, 1000, 9.0, work=1.0),
        *samples(remote_reading.COPIED, 1000, 9.0, work=0.5),
        *samples(reading.MDS.name, 1000, 9.0, work=2.0),
    ]
    of_raw_shares = [
        *samples("1", 1000, 9.0, work=0.1, figures={"stored_bytes": 150_000_000}),
        *samples("0", 1000, 9.0, work=0.4, figures={"stored_bytes": 15_000_000}),
    ]
    busy = {accelerators.busy_figure(count): share for count, share in ((1, 0.99), (2, 0.7))}
    busier = busy | {accelerators.busy_figure(2): 0.9, accelerators.busy_figure(3): 0.6}
    of_accelerators = [
        each
        for name, figures in zip(accelerators.READERS, (busier, busy), strict=True)
        for each in samples(name, 2_502, 30.0, case=accelerators.RAW, figures=figures)
    ]
    of_access = [
        *samples(access.OPEN_DATASET, 1000, 3.0, work=0.1),
        *samples(access.WIDS, 1000, 3.0, work=0.05),
        *samples(access.OPEN_DATASET_BATCHES, 1000, 3.0, work=0.02),
        *samples(access.ARRAY_RECORD_BATCHES, 1000, 3.0, work=0.01),
    ]
    of_planning = [
        *samples(planning.DRY_RUN, 1000, 25.0, case="paths"),
        *samples(planning.PLAN, 1000, 24.0, work=4.0, case="paths"),
    ]
    of_linear = [*samples(conversion.HEADER, 1000, 3.0), *samples(conversion.HEADER, 5000, 5.0)]
    of_large_collection = [
        *samples(conversion.LITDATA.name, 10_000, 20.0, work=10.0, case=COLLECTION),
        *samples(conversion.DECODE, 10_000, 12.5, case=COLLECTION),
    ]
    of_prediction = [
        *samples(prediction.ONE, 2_000, 60.0),
        *samples(prediction.ONE, 4_000, 100.0),
        *samples(prediction.TWO, 4_000, 80.0),
    ]
    of_serving = [
        *samples(serving.PREDICTOR, 2_000, 30.0, work=20.0),
        *samples(serving.SERVE, 2_000, 40.0, work=25.0, figures={"p50_s": 0.6, "p99_s": 1.5}),
    ]
    of_export_latency = [
        each
        for case, time_s in (("1 thread", 0.01), ("2 threads", 0.006))
        for each in samples(
            "ONNX",
            100,
            30.0,
            work=1.0,
            case=case,
            figures={
                export_latency.ACCURACY: 0.9,
                export_latency.MODEL_BYTES: 9_000_000,
                export_latency.MEDIAN: time_s,
                export_latency.SLOW: 2 * time_s,
            },
        )
    ]
    of_near_duplicates = [
        each
        for images, work in ((1_000, 3.0), (10_000, 8.0))
        for each in samples("search", images, 9.0, work=work, case=near_duplicates.HASHES)
    ]
    return {
        "conversion": result("conversion", of_conversion),
        "reading": result("reading", of_reading),
        "jpeg-decoders": result("jpeg-decoders", of_jpeg_decoders),
        "remote-reading": result("remote-reading", of_remote_reading),
        "raw-shares": result("raw-shares", of_raw_shares),
        "accelerators": result("accelerators", of_accelerators),
        "access": result("access", of_access),
        "planning": result("planning", of_planning),
        "linear": result("linear", of_linear),
        "large-collection": result("large-collection", of_large_collection),
        "prediction": result("prediction", of_prediction),
        "serving": result("serving", of_serving),
        "export-latency": result("export-latency", of_export_latency),
        "near-duplicates": result("near-duplicates", of_near_duplicates),
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
    assert f"| {reading.RAW} | 4,000 | 0.50 | 100 |" in tables["reading"].splitlines()
    assert f"| {reading.KERAS} | 1,000 | 2.00 | 100 |" in tables["reading"].splitlines()
    assert tables["reading"].splitlines()[-1] == f"| {reading.ORIGINALS} | 1,250 | 1.00 | 100 |"
    assert f"| {access.WIDS} | 20,000 | 0.50 |" in tables["access"].splitlines()
    assert tables["access"].splitlines()[-1].endswith("of 256 | 100,000 | 0.50 |")
    assert tables["planning"].splitlines()[-1].endswith("| 1,000 | 24.0 | 4.0 | 100 |")
    assert tables["linear"].splitlines()[-1] == "| 5,000 | 5.0 | 100 |"


def test_large_collection_table_has_published_rates_of_peers_only(
    results: dict[str, Result],
) -> None:
    lines = make_tables(results)["large-collection"].splitlines()
    assert lines[0] == "10,000 photos, 50.0 kB each:"
    assert lines[-4:-2] == [
        "| convert --check decode | 12 | 800 | 40 | 100 |  |",
        "| LitData optimize, 2 workers | 20 | 500 | 25 | 100 | 2,118 |",
    ]
    assert "pictures/large-collection.png" in lines[-1]


def test_published_rates_are_those_of_every_peer() -> None:
    rates = [round(large_collection.published_rate(each.name)) for each in large_collection.PEERS]
    assert rates == [2118, 655, 429]


def test_prediction_table_leaves_out_slope_of_a_single_size(results: dict[str, Result]) -> None:
    lines = make_tables(results)["prediction"].splitlines()
    assert lines[-4:-2] == [
        f"| {prediction.TWO} | 80.0 | 50.0 | 100 | 160.0 |  |  |",
        f"| {prediction.ONE} | 100.0 | 40.0 | 100 | 200.0 | 20.0 | 20.0 |",
    ]
    assert "pictures/prediction.png" in lines[-1]


def test_serving_table_compares_with_predictor(results: dict[str, Result]) -> None:
    lines = make_tables(results)["serving"].splitlines()
    assert lines[-2:] == [
        f"| {serving.PREDICTOR} | 100.0 | 1.00 |  |  | 100 |",
        f"| {serving.SERVE} | 80.0 | 0.80 | 600 | 1,500 | 100 |",
    ]


def test_export_latency_table_has_times_of_each_number_of_threads(
    results: dict[str, Result],
) -> None:
    lines = make_tables(results)["export-latency"].splitlines()
    assert lines[-1] == "| ONNX | 9.0 | 90.0 % | 10.0 | 20.0 | 6.0 | 12.0 |"


def test_near_duplicates_table_has_a_row_per_number_of_images(results: dict[str, Result]) -> None:
    lines = make_tables(results)["near-duplicates"].splitlines()
    assert lines[-4:-2] == ["| 1,000 | 3.0 | 100 |", "| 10,000 | 8.0 | 100 |"]
    assert "pictures/near-duplicates.png" in lines[-1]


def test_jpeg_decoders_table_has_the_time_of_the_resize_of_whole_decoders(
    results: dict[str, Result],
) -> None:
    rows = make_tables(results)["jpeg-decoders"].splitlines()[2:]
    assert rows == ["| TensorFlow | 0.90 | 0.50 | 1.40 |"]


def test_remote_reading_table_leaves_out_copies_of_undecoded_images(
    results: dict[str, Result],
) -> None:
    rows = make_tables(results)["remote-reading"].splitlines()[2:]
    assert rows == [
        f"| {remote_reading.STREAMED} | 10,000 | 500 | 1.00 | 1,000 | 50 | 1.00 |",
        f"| {remote_reading.COPIED} |  |  |  | 2,000 | 100 | 0.50 |",
        f"| {reading.MDS.name} | 2,500 | 125 | 4.00 | 500 | 25 | 2.00 |",
    ]


def test_raw_shares_table_has_measured_shares_in_order_and_their_picture(
    results: dict[str, Result],
) -> None:
    lines = make_tables(results)["raw-shares"].splitlines()
    assert lines[2:4] == [
        "| 0 | 15.0 | 1.00 | 2,500 | 1.00 |",
        "| 1 | 150.0 | 10.00 | 10,000 | 4.00 |",
    ]
    assert "pictures/raw-shares.png" in lines[-1]


def test_accelerators_table_counts_those_that_are_busy(results: dict[str, Result]) -> None:
    first, second = accelerators.READERS
    assert make_tables(results)["accelerators"].splitlines()[-2:] == [
        f"| {first} | **2** | 99% | 90% | 60% |",
        f"| {second} | **1** | 99% | 70% |  |",
    ]


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


def test_run_only_some_contestants_refuses_to_replace_stored_results(tmp_path: Path) -> None:
    result = msgspec.structs.replace(_accuracies({"a": 0.5, "b": 0.7}), benchmark="planning")
    stored = write_result(result, tmp_path)
    before = stored.read_bytes()
    arguments = ["run", "planning", "--only", "a", "--results", str(tmp_path)]
    ended = CliRunner().invoke(main, [*arguments, "--data", str(tmp_path)])
    assert ended.exit_code == 2
    assert "--add" in ended.output
    assert stored.read_bytes() == before


def test_adding_result_replaces_samples_of_its_contestants_and_keeps_others() -> None:
    first = _accuracies({"a": 0.5, "b": 0.7})
    new = _accuracies({"b": 0.8, "c": 0.6})
    added = first.adding(new)
    assert [(it.contestant, it.figures["accuracy"]) for it in added.samples] == [
        ("a", 0.5), ("b", 0.8), ("c", 0.6),
    ]  # fmt: skip
    assert added.failed == {}
    broken = msgspec.structs.replace(new, samples=[], failed={"a": "it does not run"})
    assert [it.contestant for it in first.adding(broken).samples] == ["b"]
    assert first.adding(broken).failed == broken.failed
    assert first.adding(broken).adding(first).failed == {}


def _accuracies(found: dict[str, float]) -> Result:
    samples = [
        Sample("flowers", 1, 1, name, 0, 1.0, 1.0, None, 1, {"accuracy": value})
        for name, value in found.items()
    ]
    return Result("imbalance", "run", {}, {}, {}, {}, samples)
