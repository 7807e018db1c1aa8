"""`train` with images that are not converted, options from files, and folds, in one command."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import shardmill as sm
from records.errors import OutputError, UsageError
from shardmill.cli import shardmill
from tests.pipelines.pictures import make_folders
from trainers.cross_validation.result import CrossValidation
from trainers.options import TrainOptions
from trainers.options_file import encode_options, read_options


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return make_folders(tmp_path / "photos", cat=8, dog=7)


@pytest.fixture
def file_of_fold(tmp_path: Path) -> Path:
    """The file `options.toml` of the run of a fold."""
    path = tmp_path / "options.toml"
    options = TrainOptions(epochs=3, image_size=(12, 12), batch_size=8, fold="2/3")
    path.write_bytes(encode_options(options))
    return path


def call(*arguments: object) -> Result:
    return CliRunner().invoke(shardmill, ["train", *map(str, arguments)])


@pytest.mark.slow
def test_folds_of_images_with_options_of_a_file_resume_by_the_command_of_the_hint(
    photos: Path, tmp_path: Path, file_of_fold: Path
) -> None:
    arguments = [photos, tmp_path / "folds", "--folds", 2, "--config", file_of_fold]
    ended = call(*arguments, "--set", "epochs=1", "--json")
    assert ended.exit_code == 0, ended.output
    assert ended.stderr.startswith(f"converted 15 images of {photos} to ")
    printed = json.loads(ended.stdout)
    assert [each["validation_images"] for each in printed["folds"]] in ([7, 8], [8, 7])
    written = read_options(str(tmp_path / "folds/fold-2/options.toml"))
    assert {name: written[name][0] for name in ("fold", "epochs", "batch_size")} == {
        "fold": "2/2", "epochs": 1, "batch_size": 8,
    }  # fmt: skip

    refused = call(*arguments).exception
    assert isinstance(refused, OutputError)
    assert refused.hint is not None
    command = shlex.split(refused.hint.split("`")[1])
    make_folders(photos, bird=2)  # a cross-validation that exists continues on its dataset
    again = CliRunner().invoke(shardmill, command[1:])
    assert again.exit_code == 0, again.output
    assert "nothing to do: the runs of all folds are finished" in again.stderr
    found = sm.train(photos, tmp_path / "folds", resume=True)
    assert isinstance(found, CrossValidation)
    assert found.out_of_fold.images == 15


@pytest.mark.usefixtures("refuse_backend")
def test_fold_of_a_file_is_replaced_by_folds_but_not_ignored_elsewhere(
    photos: Path, tmp_path: Path, file_of_fold: Path
) -> None:
    sm.convert(photos, tmp_path / "data")
    arguments = [tmp_path / "data", tmp_path / "run", "--config", file_of_fold, "--dry-run"]
    assert "fold 2 of 3: training on 10 images" in call(*arguments).stderr
    assert "fold 1 of 4: training on " in call(*arguments, "--folds", 4).stderr
    for option in (["--fold", "2/3"], ["--set", "fold=2/3"]):
        error = call(*arguments, "--folds", 4, *option).exception
        assert isinstance(error, UsageError)
        assert "--fold and --folds cannot be used together" in str(error)


@pytest.mark.usefixtures("refuse_backend")
def test_errors_of_folds_are_reported_before_images_are_converted(
    photos: Path, tmp_path: Path
) -> None:
    cases = [
        (["--fold", "1/3"], "cannot be used together"),
        (["--validation-split", "validation"], "validates on its fold of train"),
    ]
    for flags, message in cases:
        error = call(photos, tmp_path / "run", "--folds", 2, *flags).exception
        assert isinstance(error, UsageError)
        assert message in str(error)
    assert not (tmp_path / "cache").exists()


def test_hint_names_the_dataset_of_data_only_if_it_is_finished(
    photos: Path, tmp_path: Path
) -> None:
    run, data = tmp_path / "run", tmp_path / "data"
    (run / "fold-1").mkdir(parents=True)
    (run / "fold-1" / "config.json").write_text("{}")
    for source in (photos, data):
        error = call(photos, run, "--folds", 2, "--data", data).exception
        assert isinstance(error, OutputError)
        assert f"`shardmill train {source} {run} --resume`" in str(error)
        if not data.exists():
            sm.convert(photos, data)


def test_summary_of_folds_is_that_of_fold_1(photos: Path, tmp_path: Path) -> None:
    paths = tmp_path / "data", tmp_path / "run"
    sm.convert(photos, paths[0])
    ended = call(*paths, "--image-size", 12, "--batch-size", 8, "--folds", 2, "--summary", "--json")
    assert ended.exit_code == 0, ended.output
    assert "the summary is that of fold 1" in ended.stderr
    printed = json.loads(ended.stdout)
    of_all = sm.summarize(*paths, folds=2, image_size=12, batch_size=8)
    of_one = sm.summarize(*paths, fold="1/2", image_size=12, batch_size=8)
    assert of_all.phases == of_one.phases
    counts = "training_images", "validation_images", "parameters"
    for found in (of_all, of_one):
        assert [getattr(found, name) for name in counts] == [printed[name] for name in counts]
    assert not paths[1].exists()
