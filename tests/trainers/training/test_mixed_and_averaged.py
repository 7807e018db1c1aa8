"""Runs with mixed images, balanced classes and averaged weights, on both backends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import msgspec
import pytest

from records.errors import UsageError
from tests.trainers.backends import run_python
from tests.trainers.training.test_resume import (
    OPTIONS,
    assert_same_run,
    run_plan,
    run_until_a_validation_step,
    stop_at_step,
)
from trainers.evaluation import Evaluation, evaluate
from trainers.options import Augmentation, TrainOptions
from trainers.training.planning import plan_training

if TYPE_CHECKING:
    from pathlib import Path

MIXED = Augmentation(flip="horizontal", mixup=0.4, cutmix=1.0)
EVERY_AUGMENTATION = Augmentation(
    "both", 20, 0.1, 0.1, 0.1, 0.1, 0.5, saturation=0.3, hue=0.1, erase=0.5, randaugment=9,
    trivialaugment=1, mixup=0.2, cutmix=1,
)  # fmt: skip


def change(**changes: Any) -> TrainOptions:
    return msgspec.structs.replace(OPTIONS, **changes)


def test_run_validates_and_keeps_the_averaged_weights_of_mixed_images(
    shapes: Path, tmp_path: Path
) -> None:
    options = change(
        augment=MIXED, ema=0.9, balanced=True, steps=30, class_weights={"disc": 2.0},
        label_smoothing=0.1, checkpoint_steps=None,
    )  # fmt: skip
    plan = plan_training(shapes, tmp_path / "run", options)
    assert any("each of 3 classes has" in note for note in plan.notes)
    result = run_plan(plan)
    assert result.loss > 0
    found = evaluate(tmp_path / "run", split="validation")
    assert isinstance(found, Evaluation)
    assert found.accuracy == pytest.approx(result.val_accuracy)


@pytest.mark.slow
def test_resume_of_mixed_balanced_averaged_run_gives_same_weights(
    shapes: Path, tmp_path: Path
) -> None:
    options = change(augment=MIXED, ema=0.9, balanced=True, steps=20)
    run_plan(plan_training(shapes, tmp_path / "whole", options))
    with stop_at_step(6), pytest.raises(KeyboardInterrupt):
        run_plan(plan_training(shapes, tmp_path / "run", options))
    run_plan(plan_training(shapes, tmp_path / "run", options, resume=True))
    assert_same_run(tmp_path / "whole", tmp_path / "run")


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_resume_with_every_augmentation_gives_same_weights(
    shapes: Path, tmp_path: Path, precision: str
) -> None:
    options = change(
        augment=EVERY_AUGMENTATION, ema=0.99, balanced=True, steps=26, precision=precision
    )
    run_plan(plan_training(shapes, tmp_path / "whole", options))
    with stop_at_step(19), pytest.raises(KeyboardInterrupt):
        run_plan(plan_training(shapes, tmp_path / "run", options))
    run_plan(plan_training(shapes, tmp_path / "run", options, resume=True))
    assert_same_run(tmp_path / "whole", tmp_path / "run")


@pytest.mark.slow
@pytest.mark.usefixtures("hears_ctrl_c")
def test_resume_of_averaged_run_stopped_in_validation_gives_same_weights(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = change(ema=0.9, steps=30)
    run_plan(plan_training(shapes, tmp_path / "whole", options))
    run_until_a_validation_step(plan_training(shapes, tmp_path / "run", options), 2, monkeypatch)
    run_plan(plan_training(shapes, tmp_path / "run", options, resume=True))
    assert_same_run(tmp_path / "whole", tmp_path / "run")


@pytest.mark.slow
@pytest.mark.parametrize("cache", ["memory", "disk"])
def test_balanced_run_from_a_cache_has_the_images_of_streaming(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: str
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    options = change(augment=Augmentation(), balanced=True, steps=20, dropout=0.0)
    result = run_plan(plan_training(shapes, tmp_path / cache, options))
    cached = msgspec.structs.replace(options, cache=cache)
    other = run_plan(plan_training(shapes, tmp_path / f"{cache}-cached", cached))
    assert other.steps == result.steps


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["transfer", "finetune"])
def test_balanced_averaged_run_trains_a_head(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: Any
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    options = TrainOptions(
        model="mobilenet_v2", weights="none", mode=mode, image_size=(32, 32), epochs=2, seed=1,
        head_epochs=1, unfreeze=3 if mode == "finetune" else "all", balanced=True, ema=0.9,
    )  # fmt: skip
    for name, augment in (("features", Augmentation()), ("mixed", MIXED)):
        changed = msgspec.structs.replace(options, augment=augment)
        result = run_plan(plan_training(shapes, tmp_path / name, changed))
        found = evaluate(tmp_path / name, split="validation")
        assert isinstance(found, Evaluation)
        assert found.accuracy == pytest.approx(result.val_accuracy)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"balanced": True, "class_weights": "balanced"}, "would weight rare classes twice"),
        ({"class_weights": {"discs": 2.0}}, "no class of this name.*did you mean disc"),
    ],
)
def test_plan_training_options_that_contradict_are_refused(
    shapes: Path, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        plan_training(shapes, tmp_path / "run", change(**changes))


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="it is what runs this")
@pytest.mark.slow
def test_runs_on_jax_pass_same_tests() -> None:
    chosen = "validates or balanced_averaged_run_gives or every_augmentation or in_validation"
    run_python("-m", "pytest", "-p", "no:cacheprovider", "-k", chosen, __file__)
