"""Fine-tuning with groups of layers: rates, gradual unfreezing, resumption."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import keras
import msgspec
import numpy as np
import pytest

import shardmill as sm
from records.errors import UsageError
from tests.trainers.backends import run_python
from tests.trainers.training.test_resume import assert_same_run, run_plan, stop_at_step
from trainers.options import Augmentation, TrainOptions
from trainers.runs.history import read_history
from trainers.runs.run_dir import open_run
from trainers.training.planning import plan_training

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from trainers.training.epoch_logger import EpochLogger

# Three epochs of 17 steps: one of the head, one of the last group, and one of all groups.
OPTIONS = TrainOptions(
    model="mobilenet_v2", mode="finetune", weights="none", image_size=(32, 32), batch_size=8,
    head_epochs=1, unfreeze_epochs=1, epochs=1, learning_rate=1e-3, seed=5, head_dropout=0.2,
    schedule="one-cycle", layer_decay=0.5, ema=0.9,
    augment=Augmentation(flip="horizontal"),
)  # fmt: skip


def change(**changes: Any) -> TrainOptions:
    return msgspec.structs.replace(OPTIONS, **changes)


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let runs share their features."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


def train_whole(shapes: Path, folder: Path, options: TrainOptions) -> Path:
    run_plan(plan_training(shapes, folder / "whole", options))
    return folder / "whole"


@pytest.fixture(scope="module")
def whole(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_whole(shapes, tmp_path_factory.mktemp("fine-tuned"), OPTIONS)


def assert_resumes(
    shapes: Path, folder: Path, options: TrainOptions, *, step: int, whole: Path
) -> None:
    """Stop a run at a step, of which it has a checkpoint, and compare it with a whole run."""
    stopped = msgspec.structs.replace(options, checkpoint_steps=step)
    with stop_at_step(step), pytest.raises(KeyboardInterrupt):
        run_plan(plan_training(shapes, folder / "run", stopped))
    assert (folder / "run" / "checkpoints" / f"step-{step:08}.weights.h5").exists()
    run_plan(plan_training(shapes, folder / "run", options, resume=True))
    assert_same_run(whole, folder / "run")


# The first step of both phases, and a step within.
@pytest.mark.slow
@pytest.mark.parametrize("step", [17, 22, 34, 39])
def test_resume_in_each_phase_gives_same_weights(
    shapes: Path, tmp_path: Path, whole: Path, step: int
) -> None:
    plan = plan_training(shapes, tmp_path / "run", OPTIONS)
    assert [phase.first_step for phase in plan.phases] == [0, 17, 34]
    assert_resumes(shapes, tmp_path, OPTIONS, step=step, whole=whole)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_resume_in_mixed_precision_gives_same_weights(
    shapes: Path, tmp_path: Path, precision: str
) -> None:
    options = change(precision=precision)
    whole = train_whole(shapes, tmp_path, options)
    assert_resumes(shapes, tmp_path, options, step=22, whole=whole)


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "adafactor", "lion"])
def test_resume_with_layer_decay_gives_same_weights_with_other_optimizers(
    shapes: Path, tmp_path: Path, optimizer: str
) -> None:
    options = change(optimizer=optimizer, unfreeze_epochs=0, ema=None, learning_rate=1e-4)
    whole = train_whole(shapes, tmp_path, options)
    assert_resumes(shapes, tmp_path, options, step=25, whole=whole)


@pytest.mark.slow
def test_gradual_unfreezing_trains_the_last_groups_first(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trainers.models.freezing import group_layers
    from trainers.training import epoch_logger

    kept: list[list[list[np.ndarray]]] = []
    log_epoch = epoch_logger.EpochLogger.log_epoch

    def keep(logger: EpochLogger, *arguments: Any) -> None:
        groups = group_layers(logger._network, "all")  # noqa: SLF001
        kept.append(
            [[keras.ops.convert_to_numpy(layer.weights[0]) for layer in group] for group in groups]
        )
        log_epoch(logger, *arguments)

    monkeypatch.setattr(epoch_logger.EpochLogger, "log_epoch", keep)
    # Without normalization, gradients reach the first layers also if the weights are random.
    options = change(model="vgg16", unfreeze_epochs=4, ema=None, checkpoint_steps=None)
    plan = plan_training(shapes, tmp_path / "run", options)
    assert any("unfreezing the backbone gradually in 4 epochs" in note for note in plan.notes)
    assert any("head on, multiplied by 0.5" in note for note in plan.notes)
    result = run_plan(plan)
    assert result.epochs == 6
    changed = [
        [
            any((one != other).any() for one, other in zip(before, after, strict=True))
            for before, after in zip(*epochs, strict=True)
        ]
        for epochs in pairwise(kept)
    ]
    assert changed == [[group <= epoch for group in range(5)] for epoch in range(5)]
    rates = [epoch.learning_rate for epoch in read_history(open_run(tmp_path / "run"))]
    assert max(rates[1:]) < 1e-3  # each phase has its own cycle
    assert len(plan.phases) == 6


@pytest.mark.slow
def test_summary_shows_the_groups_with_their_rates_and_epochs(shapes: Path, tmp_path: Path) -> None:
    options = msgspec.structs.asdict(change(unfreeze_epochs=2, layer_decay=0.5))
    found = sm.summarize(shapes, tmp_path / "run", **options)
    rows = [(group.learning_rate, group.first_epoch) for group in found.groups]
    assert rows == [(1e-3 * 0.5**number, epoch) for number, epoch in enumerate([1, 2, 3, 3, 4, 4])]
    last = found.groups[1]
    assert (last.first_layer, last.last_layer) == ("block_13_depthwise", "Conv_1")
    assert sum(group.parameters for group in found.groups) == found.trained_parameters
    assert [phase.first_epoch for phase in found.phases] == [1, 2, 3, 4]
    assert [phase.trained_parameters for phase in found.phases] == sorted(
        phase.trained_parameters for phase in found.phases
    )
    (line,) = (line for line in found.lines() if line.startswith("block_13_depthwise to Conv_1"))
    assert line.split()[-2:] == ["0.0005", "2"]


@pytest.mark.slow
def test_run_whose_layers_are_one_group_is_refused_before_the_head_trains(
    shapes: Path, tmp_path: Path
) -> None:
    for changes, message in (
        ({"unfreeze": 6}, "one group, which cannot be unfrozen gradually"),
        ({"unfreeze": 155}, "fewer layers than requested"),
    ):
        with pytest.raises(UsageError, match=message):
            run_plan(plan_training(shapes, tmp_path / "run", change(**changes)))
        assert not (tmp_path / "run").exists()


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="it is what runs this")
@pytest.mark.slow
def test_runs_on_jax_pass_same_tests() -> None:
    chosen = "(each_phase and 22) or lion"
    run_python("-m", "pytest", "-p", "no:cacheprovider", "-k", chosen, __file__)
