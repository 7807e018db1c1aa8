"""Tests of the commands: output, exit codes, errors."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from records.cli.output import print_text
from records.errors import CorruptDataError, InputNotFoundError, OutputError, UsageError
from tests.trainers.conftest import LABELS, make_source, write_shapes
from trainers.cli.evaluate import evaluate
from trainers.cli.predict import predict
from trainers.cli.train import train
from trainers.runs.digests import DIGESTS, encode_digests

if TYPE_CHECKING:
    import click


def call(command: click.Command, *arguments: object) -> Result:
    """Call a command; a click usage error is exit code 2, other errors are `exception`."""
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


@pytest.fixture
def run(run_path: Path, tmp_path: Path) -> Path:
    shutil.copytree(run_path, tmp_path / "run")
    return tmp_path / "run"


def test_train_command_json_prints_only_the_result(tmp_path: Path) -> None:
    write_shapes(tmp_path / "data", {"train": [range(24)], "validation": [range(24, 30)]})
    arguments = ["--epochs", 1, "--image-size", "16x12", "--batch-size", 8, "--json"]
    result = call(train, tmp_path / "data", tmp_path / "run", *arguments)
    assert result.exit_code == 0, result.stderr
    printed = json.loads(result.stdout)
    assert printed == json.loads((tmp_path / "run" / "result.json").read_bytes())
    assert (printed["training_images"], printed["validation_images"]) == (24, 6)
    lines = result.stderr.splitlines()
    assert lines[:3] == [
        "cnn, scratch, 12x16: 1 epoch, 8 images per step, learning rate 0.001, one-cycle",
        "training on 24 images of train",
        "validating on 6 images of validation",
    ]
    assert lines[3].startswith("running on TensorFlow ")
    assert lines[4].startswith("epoch 1/1  accuracy ")


def test_train_command_quiet_prints_only_the_result(tmp_path: Path) -> None:
    write_shapes(tmp_path / "data", {"train": [range(12)]})
    arguments = ["--epochs", 1, "--image-size", 16, "--quiet"]
    result = call(train, tmp_path / "data", tmp_path / "run", *arguments)
    assert result.stderr == ""
    assert result.stdout.startswith("accuracy ")
    assert result.stdout.count("\n") == 1


@pytest.mark.parametrize("size", ["", "x", "12y", "12x", "x12", "1x2x3", "12.5", "-3x4", "0"])
def test_train_command_invalid_image_size_is_refused(
    shapes: Path, tmp_path: Path, size: str
) -> None:
    result = call(train, shapes, tmp_path / "run", "--image-size", size)
    assert result.exit_code == 2 or isinstance(result.exception, UsageError)
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("refuse_backend")
def test_commands_invalid_paths_or_splits_are_refused_before_loading_keras(
    shapes: Path, tmp_path: Path
) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").touch()
    cases: list[tuple[type[Exception], list[object]]] = [
        (InputNotFoundError, [tmp_path, tmp_path / "run"]),
        (OutputError, [shapes, tmp_path / "taken"]),
        (UsageError, [shapes, tmp_path / "run", "--validation-split", "test"]),
    ]
    for kind, arguments in cases:
        assert isinstance(call(train, *arguments).exception, kind)
    assert isinstance(call(evaluate, tmp_path).exception, InputNotFoundError)
    assert isinstance(call(predict, tmp_path, "a.jpg").exception, InputNotFoundError)


@pytest.mark.usefixtures("refuse_backend")
def test_evaluate_predict_commands_invalid_arguments_are_refused_before_loading(
    run: Path, tmp_path: Path
) -> None:
    (tmp_path / "a.jpg").write_bytes(make_source(1).data)
    (tmp_path / "damaged").mkdir()
    files = {"config.json": b"{}", "labels.txt": b"0:a"}
    for name, content in {**files, DIGESTS: encode_digests(files)}.items():
        (tmp_path / "damaged" / name).write_bytes(content)
    cases: list[tuple[click.Command, list[object], type[Exception], str]] = [
        (evaluate, [run, "--split", "nothing"], UsageError, "the dataset has no split nothing"),
        (evaluate, [run, tmp_path / "nowhere"], InputNotFoundError, "nowhere"),
        (evaluate, [tmp_path / "damaged"], CorruptDataError, "config.json"),
        (predict, [run, tmp_path / "missing"], InputNotFoundError, "found neither a file"),
        (
            predict,
            [run, tmp_path / "a.jpg", "--csv", tmp_path / "no" / "a.csv"],
            OutputError,
            "cannot be written",
        ),
    ]
    for command, arguments, kind, message in cases:
        error = call(command, *arguments).exception
        assert isinstance(error, kind), error
        assert message in str(error)


def test_evaluate_command_prints_table_or_json(run: Path) -> None:
    table = call(evaluate, run)
    assert table.exit_code == 0, table.stderr
    lines = table.stdout.splitlines()
    assert lines[0].split() == ["class", "precision", "recall", "F1", "images"]
    assert [line.split("  ")[0].strip() for line in lines[1:4]] == list(LABELS)
    assert lines[4].startswith("test: accuracy ")
    assert lines[5].startswith("expected calibration error ")
    assert f"confusion matrix: {run / 'confusion-test.png'}\n" in table.stderr
    assert f"reliability diagram: {run / 'calibration-test.png'}\n" in table.stderr
    printed = json.loads(call(evaluate, run, "--split", "train", "--mistakes", 1, "--json").stdout)
    assert list(printed) == [
        "split", "images", "accuracy", "accuracy_interval", "top_5_accuracy", "loss",
        "per_class", "confusion", "calibration", "mistakes", "confusion_cells", "excluded_images",
        "damaged_records", "task",
    ]  # fmt: skip
    assert list(printed["per_class"][0]) == ["name", "images", "precision", "recall", "f1"]
    assert list(printed["calibration"]["bins"][0]) == [
        "low", "high", "images", "confidence", "accuracy",
    ]  # fmt: skip
    assert (printed["split"], printed["images"]) == ("train", 150)
    assert len(printed["mistakes"]) == min(1, round(150 * (1 - printed["accuracy"])))
    assert (run / "confusion-train.png").read_bytes().startswith(b"\x89PNG")


def test_predict_command_prints_one_line_per_file_and_writes_outputs(
    run: Path, tmp_path: Path
) -> None:
    new = tmp_path / "new"
    new.mkdir()
    for number in range(300, 303):
        (new / f"{number}.jpg").write_bytes(make_source(number).data)
    (new / "bad.jpg").touch()
    table, grid = tmp_path / "table.csv", tmp_path / "grid.png"
    result = call(predict, run, new, "--top-k", 99, "--csv", table, "--grid", grid)
    assert result.exit_code == 0, result.stderr
    assert [line.split("  ")[0] for line in result.stdout.splitlines()] == [
        str(new / f"{number}.jpg") for number in range(300, 303)
    ]
    assert result.stderr.startswith(f"{new / 'bad.jpg'}: no prediction, empty")
    assert result.stderr.endswith("\n1 of 4 files without a prediction\n")
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [bool(row["class_3"]) for row in rows] == [True, True, True, False]
    assert "class_4" not in rows[0]
    assert grid.read_bytes().startswith(b"\x89PNG")
    printed = json.loads(call(predict, run, new, "--json").stdout)
    assert [("classes" in each, "reason" in each) for each in printed] == [
        (True, False), (True, False), (True, False), (False, True),
    ]  # fmt: skip


def test_predict_command_csv_rows_are_written_immediately(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new, table = tmp_path / "new", tmp_path / "table.csv"
    new.mkdir()
    for number in range(30):
        (new / f"{number:02}.jpg").write_bytes(make_source(number).data)
    lines: list[int] = []

    def count_lines(text: str) -> None:
        lines.append(table.read_bytes().count(b"\n"))
        print_text(text)

    monkeypatch.setattr("trainers.cli.predict.print_text", count_lines)
    assert call(predict, run, new, "--csv", table).exit_code == 0
    # The row of a file is in the table before its line is printed; the header comes first.
    assert lines == list(range(2, 32))


def test_predict_command_without_valid_image_fails(run: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").touch()
    result = call(predict, run, tmp_path / "bad.jpg", "--json")
    assert isinstance(result.exception, InputNotFoundError)
    assert json.loads(result.stdout)[0]["reason"] == "empty"


def test_evaluate_command_unfinished_run_succeeds_with_warning(run: Path) -> None:
    (run / "result.json").unlink()
    result = call(evaluate, run)
    assert result.exit_code == 0
    assert "this run is not finished" in result.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_predict_command_csv_full_disk_raises_output_error(run: Path, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(make_source(3).data)
    result = call(predict, run, tmp_path / "a.png", "--csv", "/dev/full")
    assert isinstance(result.exception, OutputError)
    assert "the disk is full" in str(result.exception)
