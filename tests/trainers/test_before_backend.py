"""Paths that do not exist are reported before TensorFlow is loaded; dry runs print JSON."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest
from click.testing import CliRunner

from records.errors import OutputError
from tests.trainers.conftest import write_shapes
from tests.trainers.test_config import CONFIG
from trainers.cli.train import train
from trainers.input.selection import select_for_training
from trainers.options import TrainOptions
from trainers.runs.create import create_run
from trainers.training.planning import plan_training

if TYPE_CHECKING:
    from records.format.layout import SplitName

CALLS = """
import json, sys
from shardmill import cli
for arguments in json.load(sys.stdin):
    sys.argv[1:] = arguments
    try:
        cli.main()
    except SystemExit as ended:
        print(ended.code, "tensorflow" in sys.modules, "keras" in sys.modules, flush=True)
"""


def test_commands_missing_path_is_reported_before_tensorflow_is_loaded(
    shapes: Path, run_path: Path, tmp_path: Path
) -> None:
    (tmp_path / "photo.jpg").touch()
    (tmp_path / "not.h5").write_text("no weights")
    data, run, new = str(shapes), str(run_path), str(tmp_path / "new")
    absent, photo = str(tmp_path / "absent"), str(tmp_path / "photo.jpg")
    model = ["--model", "mobilenet_v2"]
    transfer = [*model, "--mode", "transfer"]
    calls = {
        66: [
            ["train", absent, new],
            ["train", data, new, *transfer, "--weights", absent],
            ["train", data, new, *model, "--mode", "finetune", "--weights", absent],
            ["train", data, new, *transfer, "--features", absent],
            ["featurize", absent, new, *model],
            ["featurize", data, new, *model, "--weights", absent],
            ["evaluate", absent],
            ["evaluate", run, absent],
            ["predict", absent, photo],
            ["predict", run, absent],
            ["export", absent, new],
            ["serve", absent],
            ["doctor", absent],
        ],
        2: [
            ["train", data, new, *transfer, "--weights", str(tmp_path / "not.h5")],
            ["train", data, new, *transfer, "--weights", "s3://bucket/weights.h5"],
            ["serve", run, "--host", "no.such.host.invalid"],
        ],
        73: [
            ["train", data, run],
            ["predict", run, photo, "--csv", photo],
            ["train", data, new, "--augment-preview", photo],
        ],
    }
    given = [arguments for group in calls.values() for arguments in group]
    ended = subprocess.run(
        [sys.executable, "-c", CALLS],
        input=json.dumps(given), capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    expected = [f"{code} False False" for code, group in calls.items() for _ in group]
    found = dict(zip(map(shlex.join, given), ended.stdout.splitlines(), strict=False))
    expected[-1] = expected[-1].replace("73", "2")  # a picture needs a name ending in .png
    assert found == dict(zip(map(shlex.join, given), expected, strict=True)), ended.stderr


@pytest.mark.usefixtures("refuse_backend")
def test_train_command_dry_run_json_describes_the_plan(shapes: Path, tmp_path: Path) -> None:
    arguments = [str(shapes), str(tmp_path / "run"), "--epochs", "3", "--dry-run", "--json"]
    result = CliRunner().invoke(train, arguments)
    assert result.exit_code == 0, result.stderr
    printed = json.loads(result.stdout)
    assert (printed["status"], printed["epochs"]) == ("planned", 3)
    assert printed["training_images"] + printed["validation_images"] == 150
    assert printed["notes"] == result.stderr.splitlines()
    assert not (tmp_path / "run").exists()


def test_train_command_augment_preview_json_names_the_picture(shapes: Path, tmp_path: Path) -> None:
    picture = tmp_path / "forms.png"
    arguments = ["--augment", "flip", "--augment-preview", str(picture), "--json"]
    result = CliRunner().invoke(train, [str(shapes), str(tmp_path / "run"), *arguments])
    assert result.exit_code == 0, result.stderr
    printed = json.loads(result.stdout)
    assert (printed["status"], printed["augment_preview"]) == ("previewed", str(picture))
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_plan_class_only_in_the_hold_out_is_noted(shapes: Path, tmp_path: Path) -> None:
    from records.dataset import open_dataset

    _, held_out = select_for_training(open_dataset(shapes), None)
    chosen = [number for mask in held_out.shard_masks for number in mask]
    # Shape N is record N of the dataset, and of class N % 3.
    alone = next(number for number, held in enumerate(chosen) if held and number % 3 == 2)
    numbers = [number for number in range(40) if number % 3 != 2]
    splits: dict[SplitName, list[list[int]]] = {"train": [[*numbers, alone]]}
    write_shapes(tmp_path / "data", splits)
    notes = plan_training(tmp_path / "data", tmp_path / "run", TrainOptions()).notes
    assert "classes without training images: $x_{ b$" in notes


def test_plan_one_class_in_all_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.trainers.conftest.LABELS", ("disc",))
    write_shapes(tmp_path / "data", {"train": [range(30)]})
    notes = plan_training(tmp_path / "data", tmp_path / "run", TrainOptions()).notes
    assert any(note.startswith("the dataset has one class") for note in notes)


@pytest.mark.parametrize("is_finished", [True, False])
def test_plan_folder_with_a_run_names_the_command_that_continues_it(
    shapes: Path, tmp_path: Path, is_finished: bool
) -> None:
    run = tmp_path / "my run"
    run.mkdir()
    (run / "config.json").touch()
    if is_finished:
        (run / "result.json").touch()
    with pytest.raises(OutputError) as found:
        plan_training(shapes, run, TrainOptions())
    command = shlex.join(["shardmill", "train", str(shapes), str(run), "--resume"])
    assert command + (" --epochs N" if is_finished else "") in str(found.value)


def test_plan_folder_with_a_run_of_a_builder_names_its_model(shapes: Path, tmp_path: Path) -> None:
    options = msgspec.structs.replace(CONFIG.options, model="package.models:build")
    labels = ("disc", "square", "star", "arc", "dot")
    create_run(tmp_path / "run", msgspec.structs.replace(CONFIG, options=options), labels)
    with pytest.raises(OutputError, match=r"run --model package\.models:build --resume`"):
        plan_training(shapes, tmp_path / "run", TrainOptions())
