"""`train --folds` measures each image by a run that has not seen it."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

import shardmill as sm
from records.dataset import open_dataset
from records.errors import CorruptDataError, InputNotFoundError, OutputError, UsageError
from shardmill.cli import shardmill
from tests.trainers.conftest import LABELS, write_shapes
from trainers.cross_validation.result import CrossValidation
from trainers.evaluation import Evaluation
from trainers.evaluation.prediction_table import prediction_columns
from trainers.tasks.intervals import wilson_interval

FLAGS = ("--epochs", "1", "--image-size", "12", "--batch-size", "8")


def call(*arguments: object) -> Result:
    return CliRunner().invoke(shardmill, ["train", *map(str, arguments)])


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def key_sets(path: Path, folds: int) -> list[set[str]]:
    rows = read_rows(path / "out-of-fold.csv")
    return [
        {row["key"] for row in rows if row["fold"] == str(number)} for number in range(1, folds + 1)
    ]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of 30 shapes to train on, with a test split and a validation split."""
    folder: Path = tmp_path_factory.mktemp("few") / "data"
    write_shapes(
        folder,
        {"train": [range(18), range(18, 30)], "validation": [range(30, 33)], "test": [[40]]},
    )
    return folder


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """The folder of a cross-validation in two folds, and the end of its command."""
    folder: Path = tmp_path_factory.mktemp("trained") / "run"
    return folder, call(data, folder, *FLAGS, "--folds", 2, "--json")


@pytest.fixture
def run(trained: tuple[Path, Result], tmp_path: Path) -> Path:
    """A copy of the folder, to write to."""
    return Path(shutil.copytree(trained[0], tmp_path / "run"))


def test_folds_measure_every_image_of_train_once(data: Path, trained: tuple[Path, Result]) -> None:
    folder, ended = trained
    assert ended.exit_code == 0, ended.output
    result = json.loads(ended.stdout)
    assert result == json.loads((folder / "folds.json").read_bytes())
    rows = read_rows(folder / "out-of-fold.csv")
    assert list(rows[0]) == list(prediction_columns("classification", LABELS, folds=True))
    truth = {record.key: record.class_name for record in open_dataset(data)["train"]}
    assert sorted(row["key"] for row in rows) == sorted(truth)
    assert all(row["class"] == truth[row["key"]] for row in rows)
    right = sum(row["class"] == row["predicted"] for row in rows)
    found = result["out_of_fold"]
    assert (found["images"], found["metrics"]["accuracy"]) == (30, pytest.approx(right / 30))
    assert found["accuracy_interval"] == pytest.approx(list(wilson_interval(right, 30)))
    for each in result["folds"]:
        own = [row for row in rows if row["fold"] == str(each["fold"])]
        hits = [row["class"] == row["predicted"] for row in own]
        assert (each["training_images"], each["validation_images"]) == (30 - len(own), len(own))
        assert each["metrics"]["accuracy"] == pytest.approx(np.mean(hits))
    of_folds = [each["metrics"]["accuracy"] for each in result["folds"]]
    assert result["mean"]["accuracy"] == pytest.approx(np.mean(of_folds))
    assert result["standard_deviation"]["accuracy"] == pytest.approx(np.std(of_folds, ddof=1))
    assert "the split validation is not used" in ended.stderr


def test_evaluate_run_of_a_fold_measures_the_fold(data: Path, run: Path) -> None:
    result = json.loads((run / "folds.json").read_bytes())
    found = sm.evaluate(run / "fold-2", data, "validation", csv=run / "fold-2.csv")
    assert isinstance(found, Evaluation)
    assert (found.images, found.accuracy, found.loss) == (
        result["folds"][1]["validation_images"],
        result["folds"][1]["metrics"]["accuracy"],
        result["folds"][1]["metrics"]["loss"],
    )
    assert {row["key"] for row in read_rows(run / "fold-2.csv")} == key_sets(run, 2)[1]


@pytest.mark.usefixtures("refuse_backend")
def test_folds_resume_of_finished_runs_prints_the_saved_result(data: Path, run: Path) -> None:
    ended = call(data, run, "--resume")
    assert ended.exit_code == 0, ended.output
    assert "nothing to do: the runs of all folds are finished" in ended.stderr
    lines = ended.stdout.splitlines()
    assert lines[0].split() == ["fold", "training", "validation", "accuracy", "loss", "epoch"]
    assert [line.split()[0] for line in lines[1:-1]] == ["1", "2", "mean", "deviation"]
    assert lines[-1].startswith("out of fold: accuracy ")
    found = sm.train(data, run, folds=2, resume=True)
    assert isinstance(found, CrossValidation)
    assert repr(found).splitlines()[:-1] == lines[:-1]


@pytest.mark.usefixtures("refuse_backend")
def test_folds_dry_run_lists_the_folds_and_writes_nothing(data: Path, tmp_path: Path) -> None:
    ended = call(data, tmp_path / "run", *FLAGS, "--folds", 4, "--dry-run", "--json")
    assert ended.exit_code == 0, ended.output
    printed = json.loads(ended.stdout)
    assert [each["fold"] for each in printed["folds"]] == [1, 2, 3, 4]
    assert sum(each["validation_images"] for each in printed["folds"]) == 30
    assert printed["notes"] == ended.stderr.splitlines()
    assert len([note for note in printed["notes"] if note.startswith("fold ")]) == 4
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("refuse_backend")
@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--folds", 3, "--validation-split", "validation"], "validates on its fold of train"),
        (["--fold", "1/3", "--validation-split", "validation"], "validates on its fold of train"),
        (["--folds", 3, "--fold", "1/3"], "cannot be used together"),
        (["--folds", 31], "more folds than images or groups of train, expected at most 30"),
        (["--fold", "4/3"], "not a fold, expected K/N"),
        (["--fold", "1/1"], "not a fold"),
        (["--fold", "first"], "not a fold"),
    ],
)
def test_folds_contradictory_options_are_refused(
    data: Path, tmp_path: Path, flags: list[object], message: str
) -> None:
    error = call(data, tmp_path / "run", *FLAGS, *flags).exception
    assert isinstance(error, UsageError)
    assert message in str(error)
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("refuse_backend")
def test_folds_folder_with_other_content_is_refused(data: Path, run: Path, tmp_path: Path) -> None:
    cases: list[tuple[Path, list[object], type[Exception], str]] = [
        (run, ["--folds", 2], OutputError, f"a cross-validation.*train {data} {run} --resume"),
        (run, [], OutputError, "contains a cross-validation and is not overwritten"),
        (run, ["--folds", 3, "--resume"], UsageError, "another fold, expected 1/3, got 1/2"),
        (run, ["--resume", "--seed", 7], UsageError, "--seed differs"),
        (run / "fold-1", ["--folds", 2, "--resume"], OutputError, "contains a finished run"),
        (run / "fold-1", ["--fold", "2/2", "--resume"], UsageError, "--fold differs"),
    ]
    for folder, flags, kind, message in cases:
        with pytest.raises(kind, match=message):
            raise call(data, folder, *flags).exception or AssertionError(flags)
    (run / "folds.json").write_text("{}")
    with pytest.raises(CorruptDataError, match=r"folds\.json.*remove this file"):
        sm.train(data, run, resume=True)


@pytest.mark.usefixtures("refuse_backend")
def test_commands_for_one_run_name_a_fold(run: Path) -> None:
    for name in ("evaluate", "predict", "runs", "export"):
        more = [str(run.parent / "new")] if name in {"predict", "export"} else []
        error = CliRunner().invoke(shardmill, [name, str(run), *more]).exception
        assert isinstance(error, InputNotFoundError), name
        assert "not of one run; name the run of a fold, such as" in str(error)
        assert str(error).endswith("run/fold-1")
    compared = sm.runs([run / "fold-1", run / "fold-2"])
    assert compared.differences == {"fold": ("1/2", "2/2")}
    assert compared.lines()[-1].startswith("folds of one cross-validation: mean accuracy ")


@pytest.mark.slow
def test_folds_run_extended_on_its_own_is_measured_again(data: Path, run: Path) -> None:
    before = json.loads((run / "folds.json").read_bytes())
    sm.train(data, run / "fold-2", epochs=2, resume=True)
    told: list[str] = []
    after = sm.train(data, run, epochs=1, resume=True, on_message=told.append)
    assert isinstance(after, CrossValidation)
    assert {"fold 1 of 2 is finished", "fold 2 of 2 is finished"} <= {*told}
    assert [each.weights_epoch for each in after.folds] == [1, 2]
    assert after.folds[0].metrics == before["folds"][0]["metrics"]
    assert json.loads((run / "folds.json").read_bytes())["folds"][1]["weights_epoch"] == 2
