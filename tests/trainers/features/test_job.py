"""Tests of `featurize`: workers, resuming and refusals."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from records.dataset import open_dataset
from records.errors import CorruptDataError, OutputError, UsageError
from records.runtime.shard_worker import RunnerConfig
from shardmill.cli import shardmill
from tests.trainers.conftest import write_shapes
from tests.trainers.shard_executor import Here
from tests.trainers.toy_backbone import make_network
from trainers.features.job import featurize
from trainers.features.load import load_or_extract
from trainers.features.plan import FeaturizeOptions, plan_features
from trainers.features.store import FeatureStore
from trainers.input.selection import select_for_training

if TYPE_CHECKING:
    from collections.abc import Iterator

    import keras

    from trainers.config import Architecture
    from trainers.models.build import Network

FLAGS = ("--model=mobilenet_v2", "--weights=none", "--image-size=32x48", "--quiet")
OPTIONS = FeaturizeOptions("mobilenet_v2", weights="none", image_size=(32, 48))
FILES = [f"test-0000{n}-of-00002.arrays" for n in range(2)]
FILES += [f"train-0000{n}-of-00003.arrays" for n in range(3)]


def call(*arguments: object) -> Any:
    return CliRunner().invoke(shardmill, ["featurize", *map(str, arguments)])


def make(data: Path, out: Path | str, options: FeaturizeOptions = OPTIONS, **given: Any) -> Any:
    plan = plan_features(str(data), str(out), options)
    chosen = {"dry_run": False, "on_progress": lambda *_: None, **given}
    return featurize(plan, Here(), RunnerConfig(), **chosen)


def files_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module", autouse=True)
def _toy_backbone() -> Iterator[None]:
    """Replace the requested backbone by a small one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("trainers.models.build.build_network", make_network_of)
        yield


def make_network_of(architecture: Architecture) -> Network:
    return make_network(shape=architecture.shape)


@pytest.fixture(scope="module")
def store(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a finished store, made through Beam; tests must not write to it."""
    folder: Path = tmp_path_factory.mktemp("featurized") / "store"
    result = call(shapes, folder, *FLAGS, "--json")
    assert result.exit_code == 0, result
    report = json.loads(result.stdout)
    assert (report["status"], report["images"], report["shards"]) == ("featurized", 210, 5)
    assert (report["features"], report["dtype"], report["shards_kept"]) == (4, "float16", 0)
    return folder


def test_featurize_writes_one_file_per_shard_and_manifest(store: Path) -> None:
    assert sorted(files_in(store)) == ["features.json", *FILES]


def test_featurize_second_run_has_nothing_to_do(shapes: Path, store: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in store.iterdir()}
    assert make(shapes, store).status == "nothing-to-do"
    assert {path: path.stat().st_mtime_ns for path in store.iterdir()} == before


def test_featurize_gives_same_bytes_as_training_cache(
    shapes: Path, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    dataset, plan = open_dataset(shapes), plan_features(str(shapes), "", OPTIONS)
    network = make_network_of(plan.architecture)
    parts = select_for_training(dataset, None)
    sources = [
        load_or_extract(
            dataset, parts, network, plan.architecture, store=name, on_message=lambda _: None
        )
        for name in (None, str(store))
    ]
    assert sources[1].folder == store
    own, there = files_in(sources[0].folder), files_in(store)
    for name in ("features.json", *FILES[:2]):
        there.pop(name)
        own.pop(name, None)
    assert own == there


def test_featurize_dry_run_writes_nothing(shapes: Path, tmp_path: Path) -> None:
    report = make(shapes, tmp_path / "store", dry_run=True)
    assert (report.status, report.shards) == ("planned", 5)
    assert not (tmp_path / "store").exists()


def test_featurize_failed_run_resumes_and_reuses_finished_shards(
    shapes: Path, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, out, calls = FeatureStore.write, tmp_path / "store", iter(range(9))

    def fail(*arguments: Any) -> None:
        if next(calls) == 2:
            raise OutputError("the disk is full")
        write(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(FeatureStore, "write", fail)
        with pytest.raises(OutputError):
            make(shapes, out)
    kept = {path: path.stat().st_mtime_ns for path in out.glob("*.arrays")}
    assert len(kept) == 2
    assert not (out / "features.json").exists()
    assert make(shapes, out).shards_kept == 2
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert files_in(out) == files_in(store)


def test_featurize_output_of_other_options_is_refused(shapes: Path, store: Path) -> None:
    other = FeaturizeOptions("mobilenet_v2", weights="none", image_size=(32, 40))
    with pytest.raises(OutputError, match="choose another folder, or remove this one"):
        make(shapes, store, other)


def test_featurize_model_without_base_is_refused(shapes: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no backbone to extract features"):
        plan_features(str(shapes), str(tmp_path), FeaturizeOptions("cnn"))


def test_featurize_unknown_runner_is_refused_before_reading_dataset(tmp_path: Path) -> None:
    result = call(tmp_path / "no-data", tmp_path, *FLAGS, "--runner", "NoSuchRunner")
    assert isinstance(result.exception, UsageError)


def test_featurize_damaged_record_on_beam_is_reported_by_number(tmp_path: Path) -> None:
    write_shapes(tmp_path / "data", {"train": [range(20)]})
    path = tmp_path / "data" / "train-00000-of-00001.tfrecord"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    result = call(tmp_path / "data", tmp_path / "store", *FLAGS)
    assert isinstance(result.exception, CorruptDataError)
    assert isinstance(result.exception.record, int)
    assert "train-00000-of-00001.tfrecord" in str(result.exception)


def test_featurize_worker_with_other_weights_is_refused(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def publish_others(extractor: keras.Model, store: Any) -> None:
        extractor.set_weights([weight * 0.5 for weight in extractor.get_weights()])
        publish(extractor, store)

    from trainers.features import job

    publish = job.stage_weights
    monkeypatch.setattr(job, "stage_weights", publish_others)
    with pytest.raises(CorruptDataError, match="not the weights that the job started with"):
        make(shapes, tmp_path / "store")


def start(data: Path, out: Path) -> subprocess.Popen[str]:
    """Start the command, and return when it has written a file of features."""
    command = [sys.executable, "-m", "shardmill", "featurize", str(data), str(out), *FLAGS]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while not list(out.glob("*.arrays")) and process.poll() is None:
        time.sleep(0.002)
    return process


@pytest.mark.slow
def test_featurize_killed_then_rerun_multi_processing_gives_same_bytes(
    shapes: Path, tmp_path: Path
) -> None:
    undisturbed, out = tmp_path / "undisturbed", tmp_path / "store"
    assert start(shapes, undisturbed).communicate()[1] == ""
    process = start(shapes, out)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    kept = {path: path.stat().st_mtime_ns for path in out.glob("*.arrays")}
    assert kept
    assert not (out / "features.json").exists()
    beam = ("--", "--direct_running_mode=multi_processing", "--direct_num_workers=2")
    command = [sys.executable, "-m", "shardmill", "featurize", str(shapes), str(out), *FLAGS, *beam]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert files_in(out) == files_in(undisturbed)


@pytest.mark.slow
def test_featurize_sigterm_exits_with_status_143_and_leaves_no_staging(
    shapes: Path, tmp_path: Path
) -> None:
    process = start(shapes, tmp_path)
    process.terminate()
    _, error = process.communicate(timeout=120)
    assert process.returncode == 143
    assert error.startswith("shardmill: terminated; resume with: shardmill featurize ")
    assert error.count("\n") == 1
    assert not list(tmp_path.glob(".shardmill/staging/*"))
