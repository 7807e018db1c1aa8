"""Runs that predict a number: their files, figures, options and modes."""

from __future__ import annotations

import csv
import json
import math
import shutil
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest

from records.dataset import open_dataset
from records.errors import UsageError
from tests.trainers.backends import run_python
from tests.trainers.drawn import DISCS, convert_list, draw_disc, known
from tests.trainers.training.test_resume import StopAt, read_weights, run_plan
from trainers.evaluation.evaluate import evaluate
from trainers.models.registry import register_model
from trainers.options import Augmentation, TrainOptions
from trainers.runs.run_dir import open_run
from trainers.training.planning import TrainingPlan, plan_training

if TYPE_CHECKING:
    from pathlib import Path

COLUMNS = [
    "epoch", "loss", "val_loss", "learning_rate", "r2", "mean_absolute_error",
    "val_mean_absolute_error", "val_r2", "seconds",
]  # fmt: skip


pytestmark = pytest.mark.usefixtures("own_cache")


def build_small(image_shape: tuple[int, int, int], classes: int) -> Any:
    import keras

    image = keras.Input(image_shape)
    pooled = keras.layers.GlobalAveragePooling2D()(image / 255.0)
    return keras.Model(image, keras.layers.Dense(classes)(pooled))


def change(**changes: object) -> TrainOptions:
    small = msgspec.structs.replace(DISCS.options, epochs=2)
    return msgspec.structs.replace(small, **changes)


def test_train_run_has_target_scale_and_metrics(drawn_run: Path, drawn_data: Path) -> None:
    run = open_run(drawn_run)
    assert run.config.task == "regression"
    assert (run.labels, run.target) == (("area",), "area")
    assert (drawn_run / "labels.txt").read_text() == "0:area\n"
    with (drawn_run / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == COLUMNS
    result = json.loads((drawn_run / "result.json").read_bytes())
    assert (result["task"], result["accuracy"], result["val_accuracy"]) == (
        "regression", None, None,
    )  # fmt: skip
    for name in ("r2", "mean_absolute_error", "val_r2", "val_mean_absolute_error"):
        row = rows[result["weights_epoch"] - 1]
        assert float(row[name]) == pytest.approx(result["metrics"][name], rel=1e-5)
    # A loss in units of the variance is 1 - R², apart from the other images.
    assert result["loss"] == pytest.approx(1 - result["metrics"]["r2"], rel=0.05)
    assert result["metrics"]["val_r2"] > 0.7


def test_plan_training_leaves_out_images_without_target(drawn_data: Path, tmp_path: Path) -> None:
    plan = plan_training(drawn_data, tmp_path / "run", DISCS.options)
    areas = known(open_dataset(drawn_data)["train"])
    images = plan.training.records + plan.validation.records
    assert images == len(areas) < len(open_dataset(drawn_data)["train"])
    left_out = len(open_dataset(drawn_data)["train"]) - images
    assert f"leaving out {left_out} images without a value of area" in plan.notes
    target = plan.config.architecture.target
    assert target is not None
    chosen = np.concatenate(plan.training.shard_masks)
    pairs = zip(open_dataset(drawn_data)["train"], chosen, strict=True)
    values = np.array(list(known(record for record, is_chosen in pairs if is_chosen).values()))
    assert len(values) == plan.training.records
    assert target.mean == pytest.approx(values.mean(), rel=1e-6)
    assert target.deviation == pytest.approx(values.std(), rel=1e-6)


@pytest.mark.parametrize(
    ("changes", "message", "hint"),
    [
        ({"target": "age"}, "keeps no column of this name", None),
        ({"class_weights": "balanced"}, "has no classes", "omit --class-weights"),
        ({"label_smoothing": 0.1}, "has no classes", "omit --label-smoothing"),
        ({"balanced": True}, "has no classes", "omit --balanced"),
        ({"augment": Augmentation(mixup=0.2)}, "has no classes", "omit mixup"),
    ],
)
def test_plan_training_options_that_do_not_fit_a_target_are_errors(
    few: Path, tmp_path: Path, changes: dict[str, object], message: str, hint: str | None
) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        plan_training(few, tmp_path / "run", change(**changes))
    assert caught.value.hint == hint
    if "target" in changes:
        assert caught.value.expected == "a column of numbers: area"


def test_plan_training_target_of_dataset_without_columns_names_command(
    shapes: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError) as caught:
        plan_training(shapes, tmp_path / "run", DISCS.options)
    assert "--target-column NAME" in str(caught.value.hint)


def make_rows(folder: Path, values: list[str], **options: Any) -> Path:
    """Convert one image for each value of a column `v`, half of them to validate on."""
    rows = [
        (draw_disc(number)[0], f"{('train', 'validation')[number % 2]},{value}")
        for number, value in enumerate(values)
    ]
    given = {"label_column": "none", "keep_columns": "v", **options}
    return convert_list(folder, "split,v", rows, **given)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["a", "b", "c", "d"], "does not contain numbers only"),
        (["7", "1", "7", "2"], "the same value for every training image"),
        (["", "1", "", "2"], "no image of train has a value of v"),
        (["1e-42", "1", "3e-42", "2"], "cannot be learnt in float32"),
        (["1e38", "1", "3e37", "2"], "cannot be learnt in float32"),
        (["1", "", "2", ""], "no image of validation has a value of v"),
    ],
)
def test_plan_training_column_that_cannot_be_learned_is_an_error(
    tmp_path: Path, values: list[str], message: str
) -> None:
    data = make_rows(tmp_path, values)
    with pytest.raises(UsageError, match=message):
        plan_training(data, tmp_path / "run", change(target="v"))


def test_plan_training_whole_numbers_are_a_target(tmp_path: Path) -> None:
    data = make_rows(tmp_path, ["1", "1", "3", "3"])
    assert open_dataset(data).columns[0].type == "int64"
    target = plan_training(data, tmp_path / "run", change(target="v")).config.architecture.target
    assert target is not None
    assert (target.mean, target.deviation) == (2, 1)


def test_plan_training_one_class_without_target_names_the_option(few: Path, tmp_path: Path) -> None:
    plan = plan_training(few, tmp_path / "run", TrainOptions())
    assert any(note.endswith("to predict a number, add --target area") for note in plan.notes)


def test_plan_training_other_target_of_a_run_is_an_error(drawn_run: Path, drawn_data: Path) -> None:
    options = msgspec.structs.replace(DISCS.options, target=None)
    with pytest.raises(UsageError, match="--target differs"):
        plan_training(drawn_data, drawn_run, options, resume=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"augment": Augmentation(flip="horizontal", crop=0.7)},
        {"early_stopping": 1, "epochs": 3},
        {"model": "cnn-512"},
        {"model": "cnn-bn"},
        {"l2": 1e-4, "optimizer": "sgd", "schedule": "cosine"},
    ],
    ids="-".join,
)
def test_train_options_apply_to_a_target(
    few: Path, tmp_path: Path, changes: dict[str, object]
) -> None:
    result = run_plan(plan_training(few, tmp_path / "run", change(**changes)))
    assert math.isfinite(result.metrics["val_r2"])
    assert result.metrics["val_r2"] <= 1


@pytest.mark.slow
def test_train_caches_give_weights_of_streaming(few: Path, tmp_path: Path) -> None:
    weights = []
    for name in ("none", "disk", "shards"):
        run_plan(plan_training(few, tmp_path / name, change(cache=name, epochs=1)))
        weights.append(read_weights(tmp_path / name))
    for others in weights[1:]:
        for name, values in weights[0].items():
            np.testing.assert_allclose(values, others[name], atol=1e-6)
    result = run_plan(plan_training(few, tmp_path / "memory", change(cache="memory")))
    assert math.isfinite(result.metrics["val_r2"])


@pytest.mark.parametrize("split", ["train", pytest.param("validation", marks=pytest.mark.slow)])
def test_train_damaged_records_are_left_out_and_the_others_keep_their_targets(
    few: Path, tmp_path: Path, split: str
) -> None:
    data = tmp_path / "data"
    shutil.copytree(few, data)
    shard = min(data.glob(f"{split}-*.tfrecord"))
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    result = run_plan(plan_training(data, tmp_path / "run", change(skip_bad=2)))
    assert result.damaged_records == 1
    assert math.isfinite(result.metrics["val_r2"])


@pytest.mark.slow
def test_train_interrupted_and_resumed_run_has_same_result(few: Path, tmp_path: Path) -> None:
    options = change(checkpoint_steps=2)
    whole = run_plan(plan_training(few, tmp_path / "whole", options))
    with pytest.raises(KeyboardInterrupt):
        run_plan(plan_training(few, tmp_path / "part", options), StopAt(1))
    rest = run_plan(plan_training(few, tmp_path / "part", options, resume=True))
    assert rest.metrics == pytest.approx(whole.metrics)
    configs = [(tmp_path / name / "config.json").read_bytes() for name in ("whole", "part")]
    assert configs[0] == configs[1]


@pytest.mark.slow
@pytest.mark.parametrize("in_memory", [True, False])
def test_train_transfer_joins_targets_to_features_of_any_target(
    few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, in_memory: bool
) -> None:
    import shardmill
    from trainers.training import phase_setup

    if not in_memory:
        monkeypatch.setattr(phase_setup, "_IN_MEMORY_BYTES", 0)
    store, small = tmp_path / "features", {"model": "vgg16", "weights": "none"}
    report = shardmill.featurize(few, store, image_size=(32, 32), **small)  # type: ignore[arg-type]
    assert report.images == 48
    # With the seed of `featurize`, the random backbone has the weights of the store.
    options = change(**small, mode="transfer", image_size=(32, 32), features=str(store), seed=0)
    plan = plan_training(few, tmp_path / "run", options)
    found = read_labels(plan)
    records = open_dataset(few)["train"]
    expected = list(known(records).values())
    assert len(expected) < len(records)
    np.testing.assert_array_equal(found, np.asarray(expected, np.float32))
    result = run_plan(plan)
    assert math.isfinite(result.metrics["val_r2"])
    evaluated = evaluate(tmp_path / "run", split="validation")
    assert evaluated.loss == pytest.approx(result.val_loss, rel=1e-2)


def read_labels(plan: TrainingPlan) -> np.ndarray:
    """The labels of the training batches of the first phase, in stored order."""
    import keras

    from trainers.models.build import build_network
    from trainers.training.phase_setup import set_up_phase

    keras.utils.set_random_seed(plan.config.options.seed)
    network = build_network(plan.config.architecture)
    setup = set_up_phase(
        plan,
        network,
        plan.phases[0],
        damaged=frozenset(),
        on_message=lambda _: None,
        on_progress=lambda *_: None,
    )
    batches = setup.reading.in_order(setup.source, plan.training, 8)
    return np.concatenate([labels for _, labels in batches.as_numpy_iterator()])


@pytest.mark.slow
def test_train_finetune_scales_head_and_whole_model(few: Path, tmp_path: Path) -> None:
    options = change(model="vgg16", weights="none", mode="finetune", image_size=(32, 32))
    options = msgspec.structs.replace(options, head_epochs=1, head_units=8, unfreeze=2)
    result = run_plan(plan_training(few, tmp_path / "run", options))
    assert math.isfinite(result.metrics["val_r2"])
    found = evaluate(tmp_path / "run", split="validation")
    assert found.loss == pytest.approx(result.val_loss, rel=1e-3)


@pytest.mark.slow
def test_train_registered_model_has_losses_and_metrics_in_the_unit_of_the_target(
    few: Path, tmp_path: Path
) -> None:
    import keras

    register_model(
        "huber_discs",
        build_small,
        image_size=(32, 32),
        loss=keras.losses.MeanAbsoluteError(),
        metrics=[lambda: keras.metrics.MeanAbsoluteError(name="own")],
    )
    result = run_plan(plan_training(few, tmp_path / "run", change(model="huber_discs")))
    error = result.metrics["val_mean_absolute_error"]
    assert result.metrics["val_own"] == pytest.approx(error, rel=1e-4)
    assert result.val_loss == pytest.approx(error, rel=1e-4)


@pytest.mark.parametrize("name", ["mean_absolute_error", "r2"])
def test_train_metric_with_the_name_of_another_one_is_an_error(
    few: Path, tmp_path: Path, name: str
) -> None:
    import keras

    register_model(
        "same_names",
        build_small,
        image_size=(32, 32),
        metrics=[lambda: keras.metrics.MeanSquaredError(name=name)],
    )
    with pytest.raises(UsageError, match=f"two metrics have the same name, got {name}"):
        run_plan(plan_training(few, tmp_path / "run", change(model="same_names")))


_ON_JAX = """
import sys
from trainers.options import TrainOptions
from trainers.training.planning import plan_training
from trainers.training.train import train

options = TrainOptions(target="area", epochs=1, batch_size=8, learning_rate=2e-3, seed=3)
result = train(plan_training(sys.argv[1], sys.argv[2], options))
print(result.metrics["val_r2"], result.metrics["val_mean_absolute_error"])
"""


@pytest.mark.slow
def test_train_on_jax_has_metrics_of_evaluation_on_tensorflow(few: Path, tmp_path: Path) -> None:
    from trainers.evaluation import RegressionEvaluation

    printed = run_python("-c", _ON_JAX, few, tmp_path / "run")
    r2, error = map(float, printed.splitlines()[-1].split())
    found = evaluate(tmp_path / "run", split="validation")
    assert isinstance(found, RegressionEvaluation)
    assert found.r2 == pytest.approx(r2, abs=1e-3)
    assert found.mean_absolute_error == pytest.approx(error, rel=1e-3)
