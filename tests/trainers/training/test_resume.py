"""Tests that a stopped and resumed run has the same result."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import msgspec
import numpy as np
import pytest

from records.errors import CorruptDataError, LockedError, UsageError
from records.storage import open_remote
from tests.datasets import edit_manifest
from tests.trainers.conftest import write_shapes
from trainers.options import Augmentation, TrainOptions
from trainers.runs.create import open_for_writing
from trainers.runs.history import read_history
from trainers.runs.result import find_result
from trainers.runs.run_dir import open_run
from trainers.training.checkpoints import read_state
from trainers.training.planning import TrainingPlan, plan_training
from trainers.training.progress import NullProgress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from trainers.input.selection import Selection
    from trainers.runs.result import TrainingResult
    from trainers.training.phase_setup import PhaseSetup
    from trainers.training.planning.phases import Phase

ROOT = Path(__file__).parents[3]
# Everything that has a state: dropout, augmentation, a schedule, Adam, metrics, the order.
OPTIONS = TrainOptions(
    steps=40, batch_size=8, image_size=(24, 24), learning_rate=3e-3, seed=5, dropout=0.3,
    schedule="cosine", warmup_steps=3, checkpoint_steps=4, label_smoothing=0.1,
    augment=Augmentation(flip="horizontal", crop=0.5),
)  # fmt: skip


class StopAt(NullProgress):
    """Presses Ctrl-C once so many epochs have ended."""

    def __init__(self, epochs: int) -> None:
        self._left = epochs

    def end_epoch(self, _result: object) -> None:
        self._left -= 1
        if not self._left:
            raise KeyboardInterrupt


@contextmanager
def stop_at_step(step: int) -> Iterator[None]:
    """Press Ctrl-C at the beginning of a step of the training runs in the block."""
    from trainers.training.loop import TrainingLoop

    begin_step = TrainingLoop.begin_step

    def stop(loop: TrainingLoop, setup: PhaseSetup, at: int) -> None:
        begin_step(loop, setup, at)
        if at == step:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainingLoop, "begin_step", stop)
        yield


def run_plan(plan: TrainingPlan, progress: NullProgress | None = None) -> TrainingResult:
    from trainers.training.train import train

    return train(plan, on_message=lambda _: None, progress=progress or NullProgress())


def read_weights(run: Path, name: str = "model.weights.h5") -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}

    def keep(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            found[name] = item[()]

    with h5py.File(run / name) as file:
        file.visititems(keep)
    return found


def assert_same_run(one: Path, other: Path) -> None:
    for file in ("model.weights.h5", "last.weights.h5"):
        expected, got = read_weights(one, file), read_weights(other, file)
        assert expected.keys() == got.keys()
        for name, weights in expected.items():
            np.testing.assert_array_equal(weights, got[name], err_msg=f"{file} {name}")
    assert read_indexed(one) == read_indexed(other)


def read_indexed(run: Path) -> list[str]:
    """Return the history without the seconds of each epoch."""
    return [row.rpartition(",")[0] for row in (run / "history.csv").read_text().splitlines()]


@pytest.fixture(scope="module")
def undisturbed(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("undisturbed") / "run"
    run_plan(plan_training(shapes, folder, OPTIONS))
    return folder


@pytest.mark.parametrize(
    "step", [4, pytest.param(17, marks=pytest.mark.slow), pytest.param(34, marks=pytest.mark.slow)]
)
def test_resume_stopped_at_any_step_gives_same_weights_and_history(
    shapes: Path, tmp_path: Path, undisturbed: Path, step: int
) -> None:
    with stop_at_step(step), pytest.raises(KeyboardInterrupt):
        run_plan(plan_training(shapes, tmp_path / "run", OPTIONS, resume=True))
    names = sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir())
    kept = list(range(4, step + 1, 4))[-2:]
    assert names == [f"step-{at:08}.weights.h5" for at in kept]
    result = run_plan(plan_training(shapes, tmp_path / "run", OPTIONS, resume=True))
    assert result.steps == 40
    assert_same_run(undisturbed, tmp_path / "run")


@pytest.mark.slow
def test_resume_at_a_url_with_an_empty_disk_gives_same_weights_and_history(
    shapes: Path, tmp_path: Path, undisturbed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"memory://{uuid.uuid4().hex}/run"
    for part in ("first", "second"):
        (tmp_path / part).mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / part))
        options = msgspec.structs.replace(OPTIONS, tensorboard=part == "second")
        plan = plan_training(shapes, url, options, resume=True)
        if part == "first":
            with stop_at_step(18), pytest.raises(KeyboardInterrupt):
                run_plan(plan)
        else:
            assert run_plan(plan).run == url
    run = open_run(url)
    for name in ("history.csv", "model.weights.h5", "last.weights.h5"):
        (tmp_path / name).write_bytes(run.folder.open(name).read())
    assert_same_run(undisturbed, tmp_path)
    names = {path.relative_to(undisturbed).as_posix() for path in undisturbed.rglob("*.*")}
    found = open_remote(url).list()
    (logs,) = {name for name in found if name.startswith("tensorboard/events.out.tfevents.")}
    assert {*found} == {*names, logs}
    gc.collect()
    assert not list(tmp_path.glob("*/shardmill-*"))


def run_until_a_validation_step(
    plan: TrainingPlan, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Train with SIGINT sent before one of the validation's steps, counted over all epochs."""
    from trainers.training.validation import Validation

    measure, left = Validation.measure, steps

    def measure_and_signal(
        self: Validation, setup: PhaseSetup, selection: Selection, begin_step: Callable[[], None]
    ) -> dict[str, float]:
        def begin() -> None:
            nonlocal left
            left -= 1
            if not left:
                signal.raise_signal(signal.SIGINT)
            begin_step()

        return measure(self, setup, selection, begin)

    with monkeypatch.context() as patch:
        patch.setattr(Validation, "measure", measure_and_signal)
        with pytest.raises(KeyboardInterrupt):
            run_plan(plan)


# Two steps each of three epochs, the last of which is a part of one.
@pytest.mark.slow
@pytest.mark.usefixtures("hears_ctrl_c")
@pytest.mark.parametrize(
    "moment",
    [
        pytest.param((1, 17), marks=pytest.mark.slow),
        (4, 34),
        pytest.param((6, 40), marks=pytest.mark.slow),
    ],
)
def test_resume_stopped_in_validation_gives_same_weights_and_history(
    shapes: Path,
    tmp_path: Path,
    undisturbed: Path,
    moment: tuple[int, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    validation_step, step = moment
    plan = plan_training(shapes, tmp_path / "run", OPTIONS)
    run_until_a_validation_step(plan, validation_step, monkeypatch)
    checkpoint = max((tmp_path / "run" / "checkpoints").iterdir())
    state = read_state(plan.run, f"checkpoints/{checkpoint.name}")
    assert (state.step, len(state.epochs)) == (step, (validation_step - 1) // 2)
    assert state.pending_metrics is not None
    run_plan(plan_training(shapes, tmp_path / "run", OPTIONS, resume=True))
    assert_same_run(undisturbed, tmp_path / "run")


@pytest.mark.slow
@pytest.mark.usefixtures("hears_ctrl_c")
def test_resume_stopped_in_last_validation_of_phase_gives_same_weights(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    options = TrainOptions(
        model="vgg16", weights="none", mode="finetune", head_epochs=1, unfreeze=2, epochs=1,
        batch_size=64, image_size=(32, 32), seed=1,
    )  # fmt: skip
    run_plan(plan_training(shapes, tmp_path / "whole", options))
    run_until_a_validation_step(plan_training(shapes, tmp_path / "run", options), 1, monkeypatch)
    run_plan(plan_training(shapes, tmp_path / "run", options, resume=True))
    assert_same_run(tmp_path / "whole", tmp_path / "run")


def test_train_validation_loss_nan_raises_error(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trainers.training.validation import Validation

    metrics = {"accuracy": 0.3, "loss": float("nan")}
    monkeypatch.setattr(Validation, "measure", lambda *_: metrics)
    with pytest.raises(UsageError, match="the loss became nan in epoch 1"):
        run_plan(plan_training(shapes, tmp_path / "run", OPTIONS))


@pytest.mark.slow
def test_train_run_ending_inside_epoch_resets_metric_totals(shapes: Path, tmp_path: Path) -> None:
    short = msgspec.structs.replace(OPTIONS, steps=10, schedule="constant")
    run_plan(plan_training(shapes, tmp_path / "run", short))
    checkpoint = max((tmp_path / "run" / "checkpoints").iterdir())
    with h5py.File(checkpoint) as file:
        assert {float(total[()]) for total in file["metrics"].values()} == {0.0}


def test_resume_finished_run_has_nothing_to_do(shapes: Path, undisturbed: Path) -> None:
    plan = plan_training(shapes, undisturbed, OPTIONS, resume=True)
    result = find_result(plan)
    assert result is not None
    assert result.steps == 40


@pytest.mark.slow
def test_resume_finished_run_with_more_epochs_continues(shapes: Path, tmp_path: Path) -> None:
    short = msgspec.structs.replace(OPTIONS, steps=None, epochs=1, schedule="constant")
    long = msgspec.structs.replace(short, epochs=2)
    run_plan(plan_training(shapes, tmp_path / "run", short))
    plan = plan_training(shapes, tmp_path / "run", long, resume=True)
    assert find_result(plan) is None
    run_plan(plan)
    run_plan(plan_training(shapes, tmp_path / "other", long))
    assert_same_run(tmp_path / "other", tmp_path / "run")


@pytest.mark.slow
@pytest.mark.parametrize("stop", [None, 12, 25])
def test_resume_run_with_schedule_and_more_steps_starts_the_schedule_again(
    shapes: Path, undisturbed: Path, tmp_path: Path, stop: int | None
) -> None:
    longer = msgspec.structs.replace(OPTIONS, steps=60)
    for name in ("run", "other"):
        shutil.copytree(undisturbed, tmp_path / name)
    plan = plan_training(shapes, tmp_path / "other", longer, resume=True)
    assert plan.config.restarts == (40,)
    assert [(phase.first_step, phase.end_step) for phase in plan.phases] == [(0, 40), (40, 60)]
    assert run_plan(plan).steps == 60
    if stop is not None:
        with stop_at_step(40 + stop - 10), pytest.raises(KeyboardInterrupt):
            run_plan(plan_training(shapes, tmp_path / "run", longer, resume=True))
    run_plan(plan_training(shapes, tmp_path / "run", longer, resume=True))
    assert_same_run(tmp_path / "other", tmp_path / "run")


@contextmanager
def shortened(*, at: int, end: int) -> Iterator[None]:
    """End the training runs in the block earlier, as a time limit does."""
    from trainers.time_limit import EndsEarlier, TimeLimit

    def check(_limit: TimeLimit, phase: Phase, step: int, _now_s: float) -> None:
        if step == at and phase.end_step != end:
            raise EndsEarlier(end)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TimeLimit, "check", check)
        yield


def test_train_run_that_must_end_earlier_ends_its_schedule(shapes: Path, tmp_path: Path) -> None:
    short = msgspec.structs.replace(OPTIONS, steps=24, warmup_steps=0)
    with shortened(at=6, end=14):
        done = run_plan(plan_training(shapes, tmp_path / "run", short, time_limit_seconds=1e3))
    assert done.steps == 14
    *_, last = read_history(open_run(tmp_path / "run"))
    assert last.learning_rate < 3e-4  # a tenth of the highest
    assert find_result(plan_training(shapes, tmp_path / "run", short, resume=True)) == done


@pytest.mark.slow
def test_resumed_run_that_must_end_earlier_has_the_same_weights(
    shapes: Path, tmp_path: Path
) -> None:
    short = msgspec.structs.replace(OPTIONS, steps=24, warmup_steps=0)
    with shortened(at=6, end=14):
        run_plan(plan_training(shapes, tmp_path / "run", short, time_limit_seconds=1e3))
    with shortened(at=6, end=14), stop_at_step(9), pytest.raises(KeyboardInterrupt):
        run_plan(plan_training(shapes, tmp_path / "other", short, time_limit_seconds=1e3))
    run_plan(plan_training(shapes, tmp_path / "other", short, resume=True))
    assert_same_run(tmp_path / "run", tmp_path / "other")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 6}, "--seed differs, expected 5, got 6"),
        ({"steps": 30}, "only become longer, expected more than 40 steps, got 30"),
        ({"model": "cnn-bn", "dropout": None}, "--model differs"),
    ],
)
def test_resume_changed_option_is_refused_by_name(
    shapes: Path, undisturbed: Path, change: dict[str, object], message: str
) -> None:
    options = msgspec.structs.replace(OPTIONS, **change)
    with pytest.raises(UsageError, match=message):
        plan_training(shapes, undisturbed, options, resume=True)


def test_resume_changed_dataset_is_refused(undisturbed: Path, tmp_path: Path) -> None:
    write_shapes(tmp_path / "data", {"train": [range(60)]})
    edit_manifest(
        tmp_path / "data", lambda manifest: manifest["generations"][0].update(plan_digest="0" * 32)
    )
    with pytest.raises(UsageError, match="the dataset has changed"):
        plan_training(tmp_path / "data", undisturbed, OPTIONS, resume=True)


def test_resume_damaged_checkpoint_is_refused_by_name(shapes: Path, tmp_path: Path) -> None:
    plan = plan_training(shapes, tmp_path / "run", OPTIONS)
    with pytest.raises(KeyboardInterrupt):
        run_plan(plan, StopAt(1))
    newest = max((tmp_path / "run" / "checkpoints").iterdir())
    newest.write_bytes(newest.read_bytes()[:1000])
    with pytest.raises(CorruptDataError, match=f"{newest.name}.*remove this file to resume"):
        run_plan(plan_training(shapes, tmp_path / "run", OPTIONS, resume=True))


def test_train_locked_run_is_refused(shapes: Path, tmp_path: Path) -> None:
    plan = plan_training(shapes, tmp_path / "run", OPTIONS)
    labels = plan.dataset.labels
    with (
        open_for_writing(plan.run_location, plan.config, labels),
        pytest.raises(LockedError, match="another process"),
        open_for_writing(plan.run_location, plan.config, labels),
    ):
        pass
    assert not Path(plan.run_location).exists()


def start(data: Path, run: Path) -> subprocess.Popen[str]:
    # Small pauses would do nothing here: a run this small ends before it can be killed.
    arguments = [
        "--model", "cnn", "--batch-size", "2", "--image-size", "48", "--epochs", "6",
        "--checkpoint-steps", "5", "--dropout", "0.2", "--augment", "flip", "--resume",
    ]  # fmt: skip
    return subprocess.Popen(
        [sys.executable, "-m", "shardmill", "train", str(data), str(run), *arguments],
        cwd=ROOT, env={**os.environ, "TF_NUM_INTRAOP_THREADS": "1"},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_resume_killed_process_gives_same_weights_and_history(
    shapes: Path, tmp_path: Path, number: int
) -> None:
    whole = start(shapes, tmp_path / "whole")
    assert whole.wait(240) == 0, whole.communicate()
    killed = start(shapes, tmp_path / "run")
    while not list((tmp_path / "run" / "checkpoints").glob("step-0000004*")):
        assert killed.poll() is None
        time.sleep(0.02)
    killed.send_signal(number)
    assert killed.wait(60) == (-signal.SIGKILL if number == signal.SIGKILL else 143)
    resumed = start(shapes, tmp_path / "run")
    _, told = resumed.communicate(timeout=240)
    assert resumed.returncode == 0
    assert "resuming at step" in told
    assert_same_run(tmp_path / "whole", tmp_path / "run")
