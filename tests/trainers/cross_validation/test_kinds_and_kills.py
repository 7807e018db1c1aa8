"""Cross-validation with every task, at a URL, and after a kill."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import shardmill as sm
from records.dataset import open_dataset
from records.storage import open_remote
from tests.trainers.conftest import draw_shape, write_shapes
from tests.trainers.cross_validation.test_train_folds import key_sets, read_rows
from tests.trainers.drawn import DISCS, SHAPES, known
from tests.trainers.training.test_resume import ROOT, assert_same_run
from trainers.cross_validation.result import CrossValidation
from trainers.evaluation import MultiLabelEvaluation, RegressionEvaluation

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.slow
SMALL: dict[str, Any] = {"epochs": 1, "image_size": 16, "batch_size": 8}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Use an empty folder of caches."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def train_folds(data: Path | str, run: Path | str, folds: int, **options: Any) -> CrossValidation:
    found = sm.train(data, run, folds=folds, **{**SMALL, **options})
    assert isinstance(found, CrossValidation)
    return found


def test_folds_of_several_labels_have_mean_average_precision(tmp_path: Path) -> None:
    data = SHAPES.make_dataset(tmp_path, 48, test=8)
    found = train_folds(data, tmp_path / "run", 3)
    assert set().union(*key_sets(tmp_path / "run", 3)) == {
        record.key for record in open_dataset(data)["train"]
    }
    measured = sm.evaluate(tmp_path / "run/fold-3", split="validation")
    assert isinstance(measured, MultiLabelEvaluation)
    expected = {
        "mean_average_precision": measured.mean_average_precision,
        "loss": measured.loss,
    }
    assert found.folds[2].metrics == pytest.approx(expected)
    assert found.out_of_fold.metrics.keys() == {"loss"}
    assert found.out_of_fold.accuracy_interval is None
    row = read_rows(tmp_path / "run/out-of-fold.csv")[0]
    assert list(row)[:4] == ["key", "fold", "classes", "predicted"]
    assert isinstance(json.loads(row["classes"]), list)


def test_folds_of_a_target_measure_all_images_with_a_value(tmp_path: Path) -> None:
    data = DISCS.make_dataset(tmp_path, 60, test=10)
    found = train_folds(data, tmp_path / "run", 3, target="area")
    values = known(open_dataset(data)["train"])
    rows = read_rows(tmp_path / "run/out-of-fold.csv")
    assert {row["key"]: float(row["value"]) for row in rows} == pytest.approx(values)
    errors = [abs(float(row["value"]) - float(row["predicted"])) for row in rows]
    error = found.out_of_fold.metrics["mean_absolute_error"]
    assert error == pytest.approx(np.mean(errors), rel=1e-5)
    measured = sm.evaluate(tmp_path / "run/fold-1", split="validation")
    assert isinstance(measured, RegressionEvaluation)
    assert found.folds[0].metrics["r2"] == pytest.approx(measured.r2)
    assert repr(found).splitlines()[0].split()[3:5] == ["R²", "mean"]


def test_folds_at_a_url_are_those_of_a_local_folder(tmp_path: Path) -> None:
    write_shapes(tmp_path / "data", {"train": [range(24)]})
    url = f"memory://{uuid.uuid4().hex}/run"
    local = train_folds(tmp_path / "data", tmp_path / "run", 2)
    remote = train_folds(tmp_path / "data", url, 2)
    assert [each.run for each in remote.folds] == [f"{url}/fold-1", f"{url}/fold-2"]
    assert remote.mean == local.mean
    storage = open_remote(url)
    assert storage.read("out-of-fold.csv") == (tmp_path / "run/out-of-fold.csv").read_bytes()
    names = {name.removeprefix("fold-2/") for name in storage.list() if name.startswith("fold-2/")}
    assert {"config.json", "result.json", "model.weights.h5"} <= names
    assert not [name for name in storage.list() if ".shardmill" in name]
    told: list[str] = []
    again = sm.train(tmp_path / "data", url, resume=True, on_message=told.append)
    assert again == remote
    assert not [line for line in told if line.startswith("running on")]


def test_folds_of_a_generation_leave_out_later_images(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    for number in range(30):
        folder = photos / "ab"[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        draw_shape(number).save(folder / f"{number}.png")
        if number == 19:
            sm.convert(photos, tmp_path / "data")
    sm.append(photos, tmp_path / "data")
    found = train_folds(f"{tmp_path / 'data'}@1", tmp_path / "run", 2)
    assert found.out_of_fold.images == 20
    grown = train_folds(tmp_path / "data", tmp_path / "grown", 2)
    assert grown.out_of_fold.images == 30
    # In the grown dataset, the run is measured on its fold, without the images that it trained on.
    measured = sm.evaluate(tmp_path / "run/fold-1", tmp_path / "data", "validation")
    own, now = key_sets(tmp_path / "run", 2), key_sets(tmp_path / "grown", 2)
    assert measured.images == len(now[0] - own[1])


def test_folds_of_a_frozen_backbone_extract_its_features_once(tmp_path: Path) -> None:
    write_shapes(tmp_path / "data", {"train": [range(24)]})
    told: list[str] = []
    options = {"model": "mobilenet_v2", "mode": "transfer", "weights": "none", "image_size": 32}
    train_folds(tmp_path / "data", tmp_path / "run", 3, on_message=told.append, **options)
    assert len([line for line in told if line.startswith("keeping features")]) == 1
    assert len([line for line in told if line.startswith("features are kept")]) == 2


def test_folds_with_damaged_records_skip_them(shapes: Path, tmp_path: Path) -> None:
    data = Path(shutil.copytree(shapes, tmp_path / "data"))
    shard = next(data.glob("train-00002-*.tfrecord"))
    content = bytearray(shard.read_bytes())
    content[-10] ^= 1
    shard.write_bytes(content)
    found = train_folds(data, tmp_path / "run", 2, skip_bad=1)
    assert found.out_of_fold.images == 149
    keys = [row["key"] for row in read_rows(tmp_path / "run/out-of-fold.csv")]
    assert len(keys) == len({*keys}) == 149


def test_run_of_one_fold_alone_is_that_of_all_folds(shapes: Path, tmp_path: Path) -> None:
    together = train_folds(shapes, tmp_path / "run", 2, seed=4)
    for number in (2, 1):
        sm.train(shapes, tmp_path / f"parts/fold-{number}", fold=f"{number}/2", seed=4, **SMALL)
        assert_same_run(tmp_path / f"run/fold-{number}", tmp_path / f"parts/fold-{number}")
    # Runs of several machines are collected.
    collected = sm.train(shapes, tmp_path / "parts", folds=2, resume=True)
    assert isinstance(collected, CrossValidation)
    assert collected.mean == together.mean
    tables = [tmp_path / name / "out-of-fold.csv" for name in ("run", "parts")]
    assert tables[0].read_bytes() == tables[1].read_bytes()


def start(data: Path, run: Path, *flags: str) -> subprocess.Popen[str]:
    arguments = [
        "--batch-size", "4", "--image-size", "32", "--epochs", "2", "--checkpoint-steps", "3",
        "--dropout", "0.2", "--augment", "flip", *flags,
    ]  # fmt: skip
    return subprocess.Popen(
        [sys.executable, "-m", "shardmill", "train", str(data), str(run), *arguments],
        cwd=ROOT, env={**os.environ, "TF_NUM_INTRAOP_THREADS": "1"},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.fixture(scope="module")
def whole(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a cross-validation that was never interrupted."""
    folder: Path = tmp_path_factory.mktemp("whole") / "run"
    started = start(shapes, folder, "--folds", "2")
    assert started.wait(240) == 0, started.communicate()
    return folder


@pytest.mark.parametrize(
    ("number", "has_come_far"),
    [
        (signal.SIGKILL, lambda run: [*(run / "fold-2/checkpoints").glob("step-0000001*")]),
        (signal.SIGTERM, lambda run: [*(run / "fold-2/checkpoints").glob("step-0000001*")]),
        (signal.SIGKILL, lambda run: [*run.glob("fold-2/result.json")]),
        (signal.SIGKILL, lambda run: [*run.glob("fold-1")]),
    ],
    ids=["kill in fold 2", "term in fold 2", "kill while measuring", "kill at the start"],
)
def test_folds_killed_process_resumes_without_training_finished_folds_again(
    shapes: Path,
    whole: Path,
    tmp_path: Path,
    number: int,
    has_come_far: Callable[[Path], list[Path]],
) -> None:
    killed = start(shapes, tmp_path / "run", "--folds", "2")
    while not has_come_far(tmp_path / "run"):
        assert killed.poll() is None
        time.sleep(0.02)
    killed.send_signal(number)
    assert killed.wait(60) == (-signal.SIGKILL if number == signal.SIGKILL else 143)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("run/fold-1/*.h5")}
    was_finished = (tmp_path / "run/fold-1/result.json").exists()
    resumed = start(shapes, tmp_path / "run", "--folds", "2", "--resume")
    _, logged = resumed.communicate(timeout=240)
    assert resumed.returncode == 0, logged
    if was_finished:
        assert "fold 1 of 2 is finished" in logged
        assert before == {path: path.stat().st_mtime_ns for path in before}
    for fold in ("fold-1", "fold-2"):
        assert_same_run(whole / fold, tmp_path / "run" / fold)
    table = (tmp_path / "run/out-of-fold.csv").read_bytes()
    assert table == (whole / "out-of-fold.csv").read_bytes()
    assert {path.name for path in (tmp_path / "run").iterdir()} == {
        "fold-1", "fold-2", "folds.json", "out-of-fold.csv",
    }  # fmt: skip
