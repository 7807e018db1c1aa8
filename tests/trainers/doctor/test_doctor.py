"""`doctor`: versions and devices, the stages of real datasets, and how it ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from click.testing import CliRunner, Result

from records.dataset import decode_record
from records.errors import CorruptDataError, InputNotFoundError, UsageError
from records.format.shard import read_shard
from records.images import ImageOptions
from tests.clock import replace_time
from tests.trainers.conftest import write_shapes
from trainers import backend
from trainers.backend import start_backend
from trainers.cli.doctor import doctor
from trainers.doctor.diagnose import INPUT_STAGES, StageRate, draw_table, find_bottleneck
from trainers.doctor.profile import amortize_warmup, profile_inputs, time_calls
from trainers.doctor.system_info import Gpu, describe_system, inspect_system, parse_gpus
from trainers.input.pipeline import ShardSource
from trainers.options import Augmentation, TrainOptions
from trainers.training.planning import plan_training

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from trainers.training.phase_setup import PhaseSetup
    from trainers.training.planning import TrainingPlan

QUICK = ("--seconds", 0.02, "--batch-size", 8, "--image-size", 16)
STAGES = [*INPUT_STAGES, "input", "augment", "step", "training"]


@pytest.fixture(autouse=True)
def _no_gpu_unused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the machine of the tests is like."""
    hardware = replace(start_backend(), problem=None)
    monkeypatch.setattr(backend, "start_backend", lambda: hardware)
    monkeypatch.setattr("trainers.doctor.doctor.start_backend", lambda: hardware, raising=False)


def call(*arguments: object) -> Result:
    return CliRunner().invoke(doctor, [str(argument) for argument in arguments])


def test_doctor_without_dataset_prints_one_line_per_component() -> None:
    loaded_before = set(sys.modules)
    result = call()
    assert result.exit_code == 0, result.output
    facts = dict(line.split(maxsplit=1) for line in result.stdout.splitlines())
    assert {"Python", "shardmill", "Keras", "Beam", "Pillow", "GPU", "CPU", "memory"} <= set(facts)
    assert facts["Keras"].endswith(", on TensorFlow")
    assert facts["TensorFlow"] == start_backend().version
    assert "apache_beam" not in set(sys.modules) - loaded_before


def test_doctor_unused_gpu_exits_with_status_1(monkeypatch: pytest.MonkeyPatch) -> None:
    hardware = replace(start_backend(), problem="a GPU is here, but\x1b")
    monkeypatch.setattr("trainers.doctor.doctor.start_backend", lambda: hardware)
    result = call()
    assert result.exit_code == 1
    assert "problem     a GPU is here, but\\x1b\n" in result.stdout


def test_doctor_dataset_json_reports_rate_of_every_stage(shapes: Path) -> None:
    result = call(shapes, *QUICK, "--augment", "flip", "--json")
    assert result.exit_code == 0, result.output
    printed = json.loads(result.stdout)
    assert list(printed) == [
        "versions", "devices", "measured", "stages", "bottleneck", "conclusion",
    ]  # fmt: skip
    rates = {stage["name"]: stage["images_per_second"] for stage in printed["stages"]}
    assert list(rates) == STAGES
    assert min(rates.values()) > 0
    assert rates["training"] <= rates["input"]
    assert printed["bottleneck"] == find_bottleneck(rates)
    assert [line.partition(":")[0] for line in result.stderr.splitlines()] == STAGES
    assert printed["measured"] == {
        "dataset": str(shapes),
        "model": "cnn",
        "mode": "scratch",
        "height_px": 16,
        "width_px": 16,
        "channels": 3,
        "batch_size": 8,
        "precision": "float32",
    }


@pytest.mark.parametrize(
    "arguments",
    [("--mode", "transfer", "--augment", "flip"), ("--mode", "finetune", "--unfreeze", 2)],
)
def test_doctor_transfer_or_finetune_trains_layers_of_that_mode(
    shapes: Path, arguments: tuple[object, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = []

    def time_nothing(plan: TrainingPlan, stage: PhaseSetup, _seconds: float) -> Iterator[StageRate]:
        assert plan.weights is None
        trained.append(len(stage.model.trainable_weights))
        yield from (StageRate(name, 1.0) for name in STAGES)

    monkeypatch.setattr("trainers.doctor.doctor.time_stages", time_nothing)
    result = call(shapes, "--model", "vgg16", "--image-size", 32, *arguments)
    assert result.exit_code == 0, result.output
    # The head, and the last convolution; the layer after that is a pooling.
    assert trained == [4 if "finetune" in arguments else 2]
    assert f"vgg16, {arguments[1]}, on {shapes}" in result.stdout


def test_doctor_transfer_with_cached_features_is_refused(shapes: Path) -> None:
    result = call(shapes, "--model", "vgg16", "--mode", "transfer")
    assert isinstance(result.exception, UsageError)
    assert "no stages to time" in str(result.exception)


def test_doctor_dataset_prints_table_and_conclusion(
    shapes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates = dict.fromkeys(STAGES, 9_000.0) | {"decode": 50.0, "input": 49.0, "training": 40.0}
    timed = [StageRate(name, rate) for name, rate in rates.items()]
    monkeypatch.setattr("trainers.doctor.doctor.time_stages", lambda *_: iter(timed))
    result = call(shapes, *QUICK)
    assert result.exit_code == 0, result.output
    told = result.stdout.partition("\n\n")[2].splitlines()
    assert told[0] == f"cnn, scratch, on {shapes}, batches of 8 at 16x16, float32"
    assert told[1:-1] == list(draw_table(timed))
    assert told[-1].startswith("decoding limits the training rate: the input delivers 49 images/s")
    assert told[-1].endswith("store smaller images (convert --resize 16), or use --cache disk")


def test_doctor_batch_larger_than_the_dataset_has_the_size_of_the_dataset(shapes: Path) -> None:
    command = [shapes, *QUICK, "--batch-size", 10**9, "--image-size", 8, "--json"]
    result = CliRunner().invoke(doctor, list(map(str, command)))
    assert result.exit_code in {0, 1}, result.stderr
    printed = json.loads(result.stdout)
    assert printed["measured"]["batch_size"] == 135  # the others are held out
    assert len(printed["stages"]) == len(STAGES) - 1  # without augmentation


def test_profile_inputs_read_stage_interleaves_shards_as_training(tmp_path: Path) -> None:
    shards = [range(start, start + 8) for start in (0, 8, 16)]
    write_shapes(tmp_path / "data", {"train": shards, "validation": [range(24, 26)]})
    plan = plan_training(tmp_path / "data", tmp_path / "run", TrainOptions(batch_size=6, seed=1))
    source = ShardSource.from_dataset(plan.dataset, plan.config.shape)
    shard_of = {
        frame.payload: number
        for number, shard in enumerate(plan.training.shards)
        for frame in read_shard(plan.dataset.storage, shard.name)
    }
    read = iter(profile_inputs(plan, source).stages["read"])
    of_epoch = [shard_of[record] for _ in range(4) for record in next(read)[0].numpy()]
    assert [sorted(of_epoch[at : at + 3]) for at in range(0, 24, 3)] == [[0, 1, 2]] * 8


@pytest.mark.slow
@pytest.mark.parametrize(
    ("images", "crop"),
    [
        (ImageOptions(store="raw", resize=(16, 12), channels=1), 1.0),
        (ImageOptions(), 0.5),
    ],
)
def test_profile_inputs_each_stage_gives_data_of_training(
    tmp_path: Path, images: ImageOptions, crop: float
) -> None:
    location = f"memory://{tmp_path.name}"
    write_shapes(location, {"train": [range(4), range(4, 7)], "validation": [range(7, 9)]}, images)
    options = TrainOptions(batch_size=5, image_size=(12, 16), augment=Augmentation(crop=crop))
    plan = plan_training(location, tmp_path, options)
    records = [frame.payload for shard in plan.training.shards for frame in
               read_shard(plan.dataset.storage, shard.name)]  # fmt: skip
    inputs = profile_inputs(plan, ShardSource.from_dataset(plan.dataset, plan.config.shape))
    batches = {name: next(iter(stage)) for name, stage in inputs.stages.items()}
    assert set(batches["read"][0].numpy()) <= set(records)
    assert set(batches["batch"][0].numpy()) <= set(records)
    encoded = {decode_record(record).image for record in records}
    assert set(batches["parse"][0].numpy()) <= encoded
    assert batches["decode"].shape == (5, 12, 16, images.channels)
    fed, labels = inputs.batch
    np.testing.assert_array_equal(fed, batches["decode"])
    assert set(labels.numpy()) <= {0, 1, 2}


def test_doctor_dataset_not_found_is_refused_before_any_output(tmp_path: Path) -> None:
    result = call(tmp_path)
    assert isinstance(result.exception, InputNotFoundError)
    assert result.stdout == ""


def test_doctor_damaged_record_is_reported_by_number(tmp_path: Path) -> None:
    write_shapes(tmp_path, {"train": [range(16)], "validation": [range(16, 18)]})
    shard = tmp_path / "train-00000-of-00001.tfrecord"
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    result = call(tmp_path, *QUICK)
    assert isinstance(result.exception, CorruptDataError)
    assert result.exception.record is not None


def test_time_calls_warmup_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    durations = iter([100.0, *[0.5] * 4, *[0.1] * 100])

    def work() -> int:
        nonlocal now
        now += next(durations)
        return 8

    replace_time(monkeypatch, "trainers.doctor.profile", perf_counter=lambda: now)
    # 100 s of tracing, then half of 4 s, then 40 times 0.1 s.
    assert time_calls(work, 4.0) == pytest.approx(80)


def test_amortize_warmup_buffer_fill_is_spread_over_epoch() -> None:
    assert amortize_warmup(100.0, filling_s=10.0, records=1000) == pytest.approx(50)
    assert amortize_warmup(100.0, filling_s=10.0, records=10**9) == pytest.approx(100)


def test_parse_gpus_driver_table_gives_name_memory_and_version() -> None:
    table = "NVIDIA H100, 80GB, 81559, 550.54.15\nGB10, [N/A], 580.95\nnonsense\n"
    assert parse_gpus(table) == (
        Gpu("NVIDIA H100, 80GB", 81559 << 20, "550.54.15"),
        Gpu("GB10", 0, "580.95"),
    )


def test_system_info_nvidia_smi_lists_gpus_with_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text('#!/bin/sh\necho "NVIDIA H100, 81559, 550.54.15"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    hardware = replace(start_backend(), problem="it is not used")
    found = inspect_system(hardware, tmp_path / "not" / "there")
    facts = dict(describe_system({"Keras": "3"}, found))
    assert facts["GPU"] == "NVIDIA H100, 85.5 GB, driver 550.54.15"
    assert facts["problem"] == "it is not used"
    assert found.cache_problem is None
    assert found.cache_free_bytes is not None
    assert found.cache_free_bytes > 0
    program.write_text("#!/bin/sh\nexit 9\n")
    assert inspect_system(hardware, tmp_path).gpus == ()


@pytest.mark.parametrize("kind", ["file", "dangling link", "forbidden"])
def test_system_info_cache_that_cannot_be_created_has_no_free_space(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    parent = tmp_path / "parent"
    if kind == "file":
        parent.write_bytes(b"")
    elif kind == "dangling link":
        parent.symlink_to("nowhere")
    else:
        parent.mkdir()
        # Nothing is forbidden to root, who may run the tests.
        monkeypatch.setattr(os, "access", lambda path, _mode: path != parent)
    found = inspect_system(start_backend(), parent / "cache")
    assert found.cache_free_bytes is None
    assert str(parent) in str(found.cache_problem)
    caches = dict(describe_system({}, found))["caches"]
    assert caches == f"{parent / 'cache'} cannot be written: {found.cache_problem}"


@pytest.mark.slow
def test_doctor_on_jax_reports_every_stage(shapes: Path) -> None:
    command = "from trainers.cli.doctor import doctor; doctor()"
    augment = "--augment", "flip,rotate=10"
    ended = subprocess.run(
        [sys.executable, "-c", command, shapes, *map(str, QUICK), *augment, "--json"],
        env=os.environ | {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode in {0, 1}, ended.stderr
    printed = json.loads(ended.stdout)
    assert printed["devices"]["backend"] == "JAX"
    assert len(printed["stages"]) == len(STAGES)
