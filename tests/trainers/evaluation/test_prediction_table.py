"""The CSV file of `evaluate` has one row for each evaluated image."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from records.dataset import open_dataset
from records.errors import OutputError
from shardmill.cli import shardmill
from tests.trainers.conftest import LABELS
from trainers.evaluation import Evaluation, evaluate
from trainers.evaluation.prediction_table import prediction_columns


@pytest.fixture
def run(run_path: Path, tmp_path: Path) -> Path:
    """A copy of the trained run, to write to."""
    return Path(shutil.copytree(run_path, tmp_path / "run"))


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_evaluate_csv_has_key_truth_prediction_and_scores(
    run: Path, shapes: Path, tmp_path: Path
) -> None:
    path = tmp_path / "predictions.csv"
    ended = CliRunner().invoke(shardmill, ["evaluate", str(run), "--csv", str(path), "--json"])
    assert ended.exit_code == 0, ended.output
    rows = read_rows(path)
    assert list(rows[0]) == list(prediction_columns("classification", LABELS))
    records = {record.key: record for record in open_dataset(shapes)["test"]}
    assert sorted(row["key"] for row in rows) == sorted(records)
    confusion = np.zeros((3, 3), int)
    for row in rows:
        assert row["class"] == records[row["key"]].class_name
        scores = [float(row[f"score_{name}"]) for name in LABELS]
        assert sum(scores) == pytest.approx(1, abs=1e-5)
        assert row["predicted"] == LABELS[int(np.argmax(scores))]
        confusion[LABELS.index(row["class"]), LABELS.index(row["predicted"])] += 1
    found = evaluate(run)
    assert isinstance(found, Evaluation)
    assert confusion.tolist() == [list(row) for row in found.confusion or ()]


def test_evaluate_csv_of_damaged_dataset_has_each_intact_image_once(
    run: Path, shapes: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(shapes, tmp_path / "data"))
    shard = copy / "test-00001-of-00002.tfrecord"
    content = bytearray(shard.read_bytes())
    content[-10] ^= 1
    shard.write_bytes(content)
    path = tmp_path / "predictions.csv"
    evaluate(run, copy, skip_bad=1, csv=path)
    keys = [row["key"] for row in read_rows(path)]
    damaged = open_dataset(shapes)["test"][59].key
    assert sorted([*keys, damaged]) == sorted(each.key for each in open_dataset(shapes)["test"])


def test_evaluate_csv_never_replaces_a_file(
    run_path: Path, tmp_path: Path, refuse_backend: None
) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("mine")
    with pytest.raises(OutputError, match="already exists"):
        evaluate(run_path, csv=path)
    assert path.read_text() == "mine"
