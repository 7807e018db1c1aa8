"""Tests of training on several devices, with processors instead of GPUs."""

from __future__ import annotations

from pathlib import Path

import pytest

from records.errors import UsageError
from tests.trainers.backends import run_python
from tests.trainers.conftest import write_shapes
from trainers.backend import Backend, check_batch_size

_TRAIN = """
import sys
import trainers.backend, trainers.training.train
from trainers.options import TrainOptions
from trainers.training.planning import plan_training
from trainers.training.progress import NullProgress

options = TrainOptions(epochs=2, batch_size=8, image_size=(24, 24), checkpoint_steps=5, seed=3)
plan = plan_training(sys.argv[1], sys.argv[2], options)
result = trainers.training.train.train(plan, on_message=print, progress=NullProgress())
assert result.steps == 34
assert result.accuracy > 0.6
"""
_TWO_GPUS = """
hardware = trainers.backend.Backend({name!r}, "0", ("one", "two"), 2)
trainers.training.train.start_backend = lambda: hardware
"""
_ON_JAX = _TWO_GPUS.format(name="JAX")
_ON_TENSORFLOW = f"""{_TWO_GPUS.format(name="TensorFlow")}
import tensorflow as tf
two = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], two)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
trainers.training.train.data_parallel = lambda _: strategy.scope()
"""


@pytest.mark.slow
@pytest.mark.parametrize(("backend", "setup"), [("jax", _ON_JAX), ("tensorflow", _ON_TENSORFLOW)])
def test_data_parallel_two_devices_share_every_batch(
    shapes: Path, tmp_path: Path, backend: str, setup: str
) -> None:
    first, rest = _TRAIN.split("\noptions", 1)
    program = f"{first}{setup}\noptions{rest}"
    devices = "--xla_force_host_platform_device_count=2"
    run_python("-c", program, shapes, tmp_path / "run", backend=backend, XLA_FLAGS=devices)


@pytest.mark.slow
@pytest.mark.parametrize(("backend", "setup"), [("jax", _ON_JAX), ("tensorflow", _ON_TENSORFLOW)])
def test_data_parallel_two_devices_mix_images_and_average_weights(
    shapes: Path, tmp_path: Path, backend: str, setup: str
) -> None:
    first, rest = _TRAIN.split("\noptions", 1)
    mixed = (
        "augment=Augmentation(mixup=0.2, cutmix=1, randaugment=5), ema=0.9, balanced=True, seed=3"
    )
    rest = rest.replace("seed=3", mixed).partition("assert")[0]
    imports = "\nfrom trainers.options import Augmentation"
    program = f"{first}{imports}{setup}\noptions{rest}assert result.steps == 34"
    devices = "--xla_force_host_platform_device_count=2"
    run_python("-c", program, shapes, tmp_path / "run", backend=backend, XLA_FLAGS=devices)


@pytest.mark.slow
@pytest.mark.parametrize(("backend", "setup"), [("jax", _ON_JAX), ("tensorflow", _ON_TENSORFLOW)])
@pytest.mark.parametrize(("training", "validation"), [(41, 7), (40, 9)])
def test_data_parallel_images_that_two_devices_cannot_share_evenly_are_trained_on(
    tmp_path: Path, backend: str, setup: str, training: int, validation: int
) -> None:
    parts = range(training), range(training, training + validation)
    write_shapes(tmp_path / "data", {"train": [parts[0]], "validation": [parts[1]]})
    first, rest = _TRAIN.split("\noptions", 1)
    program = f"{first}{setup}\noptions{rest.partition('assert')[0]}"
    devices = "--xla_force_host_platform_device_count=2"
    run = tmp_path / "run"
    run_python("-c", program, tmp_path / "data", run, backend=backend, XLA_FLAGS=devices)


_RESUME = """
import sys
from pathlib import Path
import trainers.backend, trainers.training.train
from tests.trainers.drawn import SHAPES
from tests.trainers.models import custom_model
from tests.trainers.training.test_custom_metrics import METRICS, OPTIONS
from tests.trainers.training.test_resume import assert_same_run, run_plan, stop_at_step
from trainers.models import register_model
from trainers.training.planning import plan_training

folder = Path(sys.argv[1])
data = SHAPES.make_dataset(folder, 48, shards=1)
register_model("measured", custom_model.build, metrics=tuple(METRICS.values()))
run_plan(plan_training(data, folder / "whole", OPTIONS))
try:
    with stop_at_step(3):
        run_plan(plan_training(data, folder / "run", OPTIONS))
except KeyboardInterrupt:
    run_plan(plan_training(data, folder / "run", OPTIONS, resume=True))
assert_same_run(folder / "whole", folder / "run")
"""


@pytest.mark.slow
@pytest.mark.parametrize(("backend", "setup"), [("jax", _ON_JAX), ("tensorflow", _ON_TENSORFLOW)])
def test_resume_metrics_of_two_devices_continue_exactly(
    tmp_path: Path, backend: str, setup: str
) -> None:
    first, rest = _RESUME.split("\nfolder", 1)
    program = f"{first}{setup}\nfolder{rest}"
    devices = "--xla_force_host_platform_device_count=2"
    run_python("-c", program, tmp_path, backend=backend, XLA_FLAGS=devices)


@pytest.mark.parametrize("name", ["JAX", "TensorFlow"])
def test_check_batch_size_requires_multiple_of_gpu_count(name: str) -> None:
    hardware = Backend(name, "0", ("one", "two", "three"), 2)
    check_batch_size(9, hardware)
    with pytest.raises(UsageError, match="a --batch-size divisible by 3, got 32"):
        check_batch_size(32, hardware)
    check_batch_size(33, Backend(name, "0", ("one",), 2))
    check_batch_size(33, Backend(name, "0", (), 2))


@pytest.mark.parametrize("name", ["JAX", "TensorFlow"])
def test_check_batch_size_requires_a_validation_image_per_gpu(name: str) -> None:
    hardware = Backend(name, "0", ("one", "two", "three"), 2)
    for images in (0, 3, 4):
        check_batch_size(9, hardware, validation_images=images)
    for images in (1, 2):
        with pytest.raises(UsageError, match="fewer validation images than GPUs"):
            check_batch_size(9, hardware, validation_images=images)
    check_batch_size(9, Backend(name, "0", ("one",), 2), validation_images=1)
