"""Backbones of KerasHub: the features of KerasHub, training, LoRA, exact resumption, exports."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from tests.libraries.environments import interpreter, library_environ, run_python

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = ("-m", "tests.libraries.programs.keras_hub_presets")
LORA = (
    "--model", "keras-hub:vit", "--mode", "finetune", "--lora", "4", "--pooling", "token",
    "--augment", "flip", "--head-epochs", "1", "--epochs", "8", "--batch-size", "8",
    "--learning-rate", "0.01", "--ema", "0.9",
)  # fmt: skip

# Each process imports TensorFlow, and compiles for each phase.
_LIMIT_S = 600
pytestmark = [pytest.mark.slow, pytest.mark.timeout(2 * _LIMIT_S)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the dataset `data` and presets of tiny backbones."""
    path: Path = tmp_path_factory.mktemp("keras-hub")
    for name in ("write_photos", "write_presets"):
        check(path, name)
    return path


@pytest.fixture(autouse=True)
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path / "kaggle"))


def check(folder: Path, name: str) -> None:
    """Run a function of the program."""
    run_python("keras-hub", folder, *PROGRAM, name, folder, timeout_s=_LIMIT_S)


def shardmill(folder: Path, *arguments: str) -> dict[str, object]:
    """Return the report of a command."""
    command = ("-m", "shardmill", *arguments, "--json")
    printed = run_python("keras-hub", folder, *command, timeout_s=_LIMIT_S)
    return json.loads(printed)  # type: ignore[no-any-return]


def refusal(folder: Path, *arguments: str) -> str:
    """Return the error message of a training run."""
    train: tuple[str, ...] = ("-m", "shardmill", "train", "data", "refused")
    command: list[str | Path] = [interpreter("keras-hub"), *train, *arguments]
    ended = subprocess.run(
        command, cwd=folder, env=library_environ(), capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    return ended.stderr


def test_keras_hub_network_has_the_features_of_keras_hub(folder: Path) -> None:
    check(folder, "check_features")


def test_keras_hub_preset_name_is_read_from_the_cache_of_kaggle(folder: Path) -> None:
    check(folder, "check_cache")


@pytest.mark.parametrize(
    ("preset", "options"),
    [
        ("dinov2", ("--pooling", "token", "--layer-decay", "0.8")),
        ("siglip", ("--unfreeze", "3")),
        ("siglip", ("--lora", "2")),
        ("resnet", ("--unfreeze-epochs", "1")),
    ],
)
def test_keras_hub_backbone_learns_two_colors(
    folder: Path, preset: str, options: tuple[str, ...]
) -> None:
    run = f"run-{preset}{options[0]}"
    command = ("train", "data", run, "--model", f"keras-hub:{preset}", "--mode", "finetune")
    length = ("--batch-size", "8", "--epochs", "6", "--learning-rate", "0.003")
    result = shardmill(folder, *command, *length, *options)
    assert result["val_accuracy"] == 1
    assert shardmill(folder, "evaluate", run)["accuracy"] == 1


def test_keras_hub_lora_killed_run_resumes_exactly_and_exports_merged_weights(folder: Path) -> None:
    whole = shardmill(folder, "train", "data", "run", *LORA)
    command = ["-m", "shardmill", "train", "data", "killed", *LORA, "--checkpoint-steps", "5"]
    with subprocess.Popen(
        [interpreter("keras-hub"), *command], cwd=folder, env=library_environ()
    ) as process:
        while not [*(folder / "killed" / "checkpoints").glob("step-0000002*")]:
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    shardmill(folder, "train", "data", "killed", "--resume")
    for name in ("model.weights.h5", "last.weights.h5"):
        assert (folder / "killed" / name).read_bytes() == (folder / "run" / name).read_bytes()
    # The run contains its backbone, so that it needs the preset only to train.
    shutil.move(folder / "vit", folder / "moved")
    try:
        evaluated = shardmill(folder, "evaluate", "run", "--split", "validation")
        assert evaluated["loss"] == pytest.approx(whole["val_loss"], abs=1e-5)
        assert evaluated["accuracy"] == whole["val_accuracy"] == 1
        check(folder, "check_scores")
    finally:
        shutil.move(folder / "moved", folder / "vit")


def test_keras_hub_options_that_the_backbone_lacks_are_refused(folder: Path) -> None:
    resnet = ("--model", "keras-hub:resnet", "--mode")
    assert "ResNetBackbone has no attention layers for LoRA" in refusal(
        folder, *resnet, "finetune", "--lora", "2"
    )
    assert "ResNetBackbone has no class token" in refusal(
        folder, *resnet, "transfer", "--pooling", "token"
    )
    vit = ("--model", "keras-hub:vit", "--mode", "transfer", "--image-size")
    assert "the weights of the preset do not fit its backbone" in refusal(folder, *vit, "48")
    assert "KerasHub cannot create ViTBackbone" in refusal(folder, *vit, "30")
