"""Runs at S3 URLs, resumed on machines with empty disks, and used."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from click.testing import CliRunner

from records.errors import OutputError
from records.storage import open_storage
from records.storage.remote import lease
from shardmill.cli import shardmill
from tests.pipelines.pictures import make_folders, make_picture
from tests.s3 import runs
from tests.s3.server import BUCKET, S3Server

ROOT = f"s3://{BUCKET}/training"
DATA = f"{ROOT}/data"
CHECKPOINT = "checkpoints/step-00000010.weights.h5"
FLAGS = (
    "--model=cnn", "--batch-size=4", "--image-size=32", "--epochs=6", "--checkpoint-steps=5",
    "--dropout=0.2", "--augment=flip", "--resume", "--quiet",
)  # fmt: skip


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write images of two classes."""
    folder = make_folders(tmp_path_factory.mktemp("photos") / "photos", cat=0, dog=0)
    for number in range(60):
        content = make_picture(number, kind="JPEG", size=(40, 40))
        (folder / ("cat", "dog")[number % 2] / f"{number}.jpg").write_bytes(content)
    return folder


@pytest.fixture(scope="module")
def data(server: S3Server, photos: Path) -> str:
    """Convert the images to a dataset in the bucket."""
    command = ("convert", photos, DATA, "--test=0.2", "--shards=2", "--quiet")
    assert runs.run(server.environment, *command) == (0, "", "")
    return DATA


@pytest.fixture(scope="module")
def undisturbed(server: S3Server, data: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train a local run without an interruption."""
    run = tmp_path_factory.mktemp("undisturbed") / "run"
    machine = new_machine(server, tmp_path_factory.mktemp("machine"))
    assert runs.run(machine, "train", data, run, *FLAGS).status == 0
    return run


def new_machine(server: S3Server, folder: Path) -> dict[str, str]:
    """Return the environment of a process with an empty cache and temporary folder."""
    names = {"XDG_CACHE_HOME": "cache", "TMPDIR": "temporary", "HOME": "home"}
    for name in names.values():
        (folder / name).mkdir(parents=True)
    places = {variable: str(folder / name) for variable, name in names.items()}
    return {**server.environment, **places, "TF_NUM_INTRAOP_THREADS": "1"}


def stored(server: S3Server, run: str, name: str) -> Path:
    """Return the path of a file in a bucket, which is a folder of the server."""
    return server.buckets / run.removeprefix("s3://") / name


def require_same_run(server: S3Server, run: str, expected: Path) -> None:
    """Check the weights and the history of a run, except the seconds of its epochs."""
    found: list[list[str]] = []
    for folder in (expected, stored(server, run, "")):
        rows = (folder / "history.csv").read_text().splitlines()
        found.append([row.rpartition(",")[0] for row in rows])
    assert found[0] == found[1]
    names: list[str] = []
    with h5py.File(expected / "model.weights.h5") as one:
        one.visititems(lambda name, item: names.append(name) if hasattr(item, "dtype") else None)
        with h5py.File(stored(server, run, "model.weights.h5")) as other:
            for name in names:
                np.testing.assert_array_equal(one[name][()], other[name][()], err_msg=name)
    assert names


def test_train_killed_and_resumed_on_another_machine_gives_the_run_of_an_undisturbed_one(
    server: S3Server, data: str, undisturbed: Path, tmp_path: Path
) -> None:
    run = f"{ROOT}/killed"
    process = runs.start(new_machine(server, tmp_path / "first"), "train", data, run, *FLAGS)
    runs.wait_for(stored(server, run, CHECKPOINT).exists, process)
    process.kill()
    process.communicate()

    machine = new_machine(server, tmp_path / "second")
    command = ("train", data, run, *(flag for flag in FLAGS if flag != "--quiet"))
    resumed = runs.run_when_free(machine, *command)
    assert resumed.status == 0, resumed
    assert "resuming at step" in resumed.errors
    assert resumed.output.endswith(f" s: {run}\n")
    require_same_run(server, run, undisturbed)
    assert not list((tmp_path / "second" / "temporary").iterdir())
    assert not stored(server, run, ".shardmill/lease.json").exists()
    assert "nothing to do" in runs.run(machine, *command).errors


@pytest.fixture
def invoke(s3: str) -> Callable[..., str]:
    """Return a function that runs a command in this process, which is configured for the server."""
    del s3

    def run_now(*arguments: object) -> str:
        ended = CliRunner().invoke(shardmill, list(map(str, arguments)), catch_exceptions=False)
        assert ended.exit_code == 0, ended.output
        return ended.stdout

    return run_now


def test_evaluate_predict_export_read_run_at_s3_url(
    server: S3Server, s3: str, invoke: Callable[..., str], undisturbed: Path, photos: Path
) -> None:
    run, model = f"{s3}/run", f"{s3}/model"
    for path in undisturbed.rglob("*.*"):
        open_storage(run).replace(path.relative_to(undisturbed).as_posix(), path.read_bytes())
    for use, *images in (("evaluate",), ("predict", photos / "cat")):
        found = json.loads(invoke(use, run, *images, "--json"))
        assert found == json.loads(invoke(use, undisturbed, *images, "--json"))
    assert stored(server, run, "confusion-test.png").exists()
    invoke("export", run, model, "--format=saved_model")
    names = {name for name in open_storage(model).list() if name.startswith("variables/")}
    assert set(open_storage(model).list()) - names >= {"saved_model.pb", "labels.txt"}
    assert len(names) == 2
    with pytest.raises(OutputError, match="the output exists and is not overwritten"):
        invoke("export", run, model)


def test_train_run_of_another_process_is_refused(
    server: S3Server, s3: str, data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.5)
    with open_storage(s3).lock():
        second = runs.run(new_machine(server, tmp_path), "train", data, s3, *FLAGS)
    assert second.status == runs.BUSY, second
    assert f"{s3}: another run is writing here" in second.errors
    assert open_storage(s3).list() == []


def test_train_store_away_for_a_while_continues(
    server: S3Server, data: str, undisturbed: Path, tmp_path: Path
) -> None:
    run = f"{ROOT}/away"
    process = runs.start(new_machine(server, tmp_path / "machine"), "train", data, run, *FLAGS)
    runs.wait_for(stored(server, run, CHECKPOINT).exists, process)
    server.stop()
    time.sleep(4)  # longer than a lease
    server.start()
    ended = runs.finish(process)
    assert ended.status == 0, ended
    require_same_run(server, run, undisturbed)
