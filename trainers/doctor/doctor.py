"""Functions that make the output of `doctor`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import keras
import msgspec

from trainers.backend import check_batch_size, data_parallel, start_backend
from trainers.cache_dir import cache_dir
from trainers.doctor.diagnose import StageRate, TrainingContext, advise, find_bottleneck, summarize
from trainers.doctor.profile import time_stages
from trainers.doctor.system_info import SystemInfo, inspect_system, list_versions
from trainers.input.bad_records import locate_bad_records
from trainers.models.build import build_network
from trainers.training.compile import set_precision
from trainers.training.phase_setup import set_up_phase

if TYPE_CHECKING:
    from collections.abc import Callable

    from trainers.training.planning import TrainingPlan


class ProfiledTraining(msgspec.Struct, frozen=True):
    """The training run that was profiled.

    Attributes:
        dataset: the path or URL of the dataset.
        model: the name of the model.
        mode: `scratch`, `transfer` or `finetune`.
        height_px: the height of the input images of the model, in pixels.
        width_px: the width of the input images, in pixels.
        channels: the number of channels of the input images.
        batch_size: the number of images per step.
        precision: the Keras dtype policy.
    """

    dataset: str
    model: str
    mode: str
    height_px: int
    width_px: int
    channels: int
    batch_size: int
    precision: str


class Diagnosis(msgspec.Struct, frozen=True):
    """The output of `doctor --json`: the machine and, if a dataset is named, a training run.

    Attributes:
        versions: the versions of Python and the installed packages, by name.
        devices: processors, GPUs, memory and disk space.
        measured: the training run that was profiled; None without a dataset.
        stages: the rate of each stage of the training run; empty without a dataset.
        bottleneck: the stage that limits the training rate; None without a dataset.
        conclusion: one sentence with the bottleneck, the rates and the advice; None without a
            dataset.
    """

    versions: dict[str, str]
    devices: SystemInfo
    measured: ProfiledTraining | None = None
    stages: tuple[StageRate, ...] = ()
    bottleneck: str | None = None
    conclusion: str | None = None


def diagnose_machine() -> Diagnosis:
    """Return versions and devices. Raises UsageError if the Keras backend cannot be used."""
    hardware = start_backend()
    return Diagnosis(list_versions(), inspect_system(hardware, cache_dir("decoded").parent))


def diagnose_training(
    machine: Diagnosis, plan: TrainingPlan, *, seconds: float, on_message: Callable[[str], None]
) -> Diagnosis:
    """Measure the rate of each stage of a training run, without starting the run.

    Args:
        machine: the result of `diagnose_machine`.
        plan: the plan of the training run; nothing is written to the run folder.
        seconds: the approximate time for measuring each stage, in seconds.
        on_message: called with each line that the user should read, such as the rate of a stage.

    Raises:
        CorruptDataError: a record cannot be read.
        UsageError: the GPUs cannot share a batch of this size.
        OutOfMemoryError: a step needs more memory than the device has.
    """
    check_batch_size(plan.config.options.batch_size, start_backend())
    plan = _limit_batch(plan)
    precision = set_precision(plan.config.options.precision, start_backend())
    stages = _time(plan, seconds, on_message)
    rates = {stage.name: stage.images_per_second for stage in stages}
    bottleneck = find_bottleneck(rates)
    advice = advise(bottleneck, _training_context(plan, precision))
    return msgspec.structs.replace(
        machine,
        measured=_describe(plan, precision),
        stages=stages,
        bottleneck=bottleneck,
        conclusion=summarize(rates, bottleneck, advice),
    )


def _limit_batch(plan: TrainingPlan) -> TrainingPlan:
    """Return a plan whose batches have at most all training images."""
    options = plan.config.options
    batch_size = start_backend().limit_batch(options.batch_size, plan.training.records)
    options = msgspec.structs.replace(options, batch_size=batch_size)
    return replace(plan, config=msgspec.structs.replace(plan.config, options=options))


def _time(
    plan: TrainingPlan, seconds: float, on_message: Callable[[str], None]
) -> tuple[StageRate, ...]:
    timed = []
    with (
        locate_bad_records(
            plan.dataset,
            plan.training,
            on_message=on_message,
            batch_size=plan.config.options.batch_size,
        ),
        data_parallel(start_backend()),
    ):
        keras.utils.set_random_seed(plan.config.options.seed)
        network = build_network(plan.config.architecture)
        stage = set_up_phase(
            plan,
            network,
            plan.phases[0],
            damaged=frozenset(),
            on_message=on_message,
            on_progress=lambda _done, _images: None,  # no features are extracted
        )
        for rate in time_stages(plan, stage, seconds):
            on_message(f"{rate.name}: {rate.images_per_second:,.0f} images/s")
            timed.append(rate)
    return tuple(timed)


def _describe(plan: TrainingPlan, precision: str) -> ProfiledTraining:
    shape = plan.config.shape
    return ProfiledTraining(
        dataset=plan.config.dataset,
        model=plan.config.options.model,
        mode=plan.config.options.mode,
        height_px=shape.height_px,
        width_px=shape.width_px,
        channels=shape.channels,
        batch_size=plan.config.options.batch_size,
        precision=precision,
    )


def _training_context(plan: TrainingPlan, precision: str) -> TrainingContext:
    return TrainingContext(
        is_local=plan.dataset.storage.is_local,
        shards=len(plan.training.shards),
        is_raw=plan.config.images.store == "raw",
        stored_size=plan.config.images.resize,
        shape=plan.config.shape,
        is_cropped=plan.config.options.augment.crop < 1,
        has_gpu=bool(start_backend().gpus),
        precision=precision,
    )
