"""Images below the threshold of rejection are of none of the classes."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from click.testing import CliRunner

from records.runtime.shard_worker import RunnerConfig
from records.storage import open_storage
from shardmill.cli import shardmill
from tests.trainers.conftest import LABELS, make_source
from tests.trainers.shard_executor import Here
from trainers.prediction import Predictor, find_images
from trainers.prediction.batch_job import predict_to_csv_shards, read_predictions
from trainers.runs.run_dir import open_run

if TYPE_CHECKING:
    from pathlib import Path

    from trainers.options import KeptWeights, RejectBelow


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shapes in the folders of two classes, and noise in another folder."""
    folder: Path = tmp_path_factory.mktemp("photos")
    for number in range(300, 318):
        label = number % 3
        path = folder / (LABELS[label] if label < 2 else "weeds") / f"{number}.jpg"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(make_source(number).data)
    return folder


@pytest.fixture(scope="module")
def scores(run_path: Path, photos: Path) -> np.ndarray:
    found = Predictor(run_path).predict_files(find_images([photos]))
    return np.array([prediction.score for prediction in found])


def test_text_csv_json_and_measurement_agree_on_the_images_of_no_class(
    run_path: Path, photos: Path, scores: np.ndarray, tmp_path: Path
) -> None:
    threshold = float(np.median(scores))
    table = tmp_path / "table.csv"
    arguments = ["predict", str(run_path), str(photos), "--reject-below", str(threshold), "--truth"]
    ended = CliRunner().invoke(shardmill, [*arguments, "--json", "--csv", str(table)])
    assert ended.exit_code == 0, ended.output
    printed = json.loads(ended.stdout)
    expected = (scores < threshold).tolist()
    assert 0 < sum(expected) < len(expected)
    assert [each["none_of_these"] for each in printed["predictions"]] == expected
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[:4] == ["file", "truth", "predicted", "class"]
    assert [row["predicted"] == "none of these" for row in rows] == expected
    assert all(row["predicted"] in {row["class"], "none of these"} for row in rows)
    known = [is_none for is_none, row in zip(expected, rows, strict=True) if row["truth"]]
    summary = printed["summary"]
    assert (summary["none_of_these"], summary["images"]) == (sum(known), len(known))
    assert summary["unknown_none_of_these"] == sum(expected) - sum(known)
    assert summary["unknown_images"] == len(expected) - len(known)
    text = CliRunner().invoke(shardmill, arguments).stdout
    assert text.count("  none of these  (best: ") == sum(expected)
    assert f"none of these: {sum(known)} of {len(known)} images of the classes, " in text


@pytest.mark.parametrize("weights", [pytest.param("best", marks=pytest.mark.slow), "last"])
def test_parts_have_the_rows_of_one_file_and_keep_the_threshold(
    run_path: Path, photos: Path, scores: np.ndarray, tmp_path: Path, weights: KeptWeights
) -> None:
    run = open_run(run_path, weights)
    threshold: RejectBelow = "auto" if weights == "best" else float(np.median(scores))
    files = find_images([photos])
    found = predict_to_csv_shards(
        run, files, str(tmp_path / "parts"), Here(), RunnerConfig(),
        top_k=1, reject_below=threshold, on_progress=lambda *_: None,
    )  # fmt: skip
    assert found.reject_below == threshold
    assert read_predictions(open_storage(tmp_path / "parts")) == found
    with (tmp_path / "parts" / found.parts[0].name).open(newline="") as file:
        rows = list(csv.DictReader(file))
    predictions = Predictor(run, reject_below=threshold).predict_files(files)
    assert [row["predicted"] == "none of these" for row in rows] == [
        each.none_of_these for each in predictions
    ]


@pytest.mark.parametrize("text", ["0", "1.01", "-1", "nan", "most"])
def test_reject_below_that_is_no_score_is_a_usage_error(text: str) -> None:
    ended = CliRunner().invoke(shardmill, ["predict", "run", "new", "--reject-below", text])
    assert ended.exit_code == 2
    assert "neither a score above 0, up to 1, nor `auto`" in ended.output
