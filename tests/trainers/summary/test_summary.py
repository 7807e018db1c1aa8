"""Tests of summaries: layers, parameters, steps, estimated memory."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import shardmill as sm
from records.errors import UsageError
from trainers.cli.train import train
from trainers.options import TrainOptions
from trainers.summary import add_speed, summarize_training
from trainers.training.planning import plan_training


def test_summarize_finetune_counts_layers_parameters_and_steps_of_each_phase(
    shapes: Path, tmp_path: Path
) -> None:
    found = sm.summarize(
        shapes, tmp_path / "run", model="vgg16", mode="finetune", weights="none", unfreeze=4,
        image_size=32, batch_size=8, head_epochs=2, epochs=3, augment="flip", precision="float32",
        layer_decay=0.5, learning_rate=1e-3,
    )  # fmt: skip
    head, unfrozen = found.phases
    assert found.parameters == 14_714_688 + 512 * 3 + 3
    assert sum(layer.parameters for layer in found.layers) == found.parameters
    assert (head.trainable, head.trained_parameters, head.reads_features) == ("head", 1539, True)
    assert unfrozen.trained_parameters == 1539 + 3 * (9 * 512 * 512 + 512)
    assert found.trained_parameters == unfrozen.trained_parameters
    assert sum(layer.trained_parameters for layer in found.layers) == found.trained_parameters
    shown = {layer.name: layer for layer in found.layers}
    assert (shown["block5_conv3"].output_shape, shown["logits"].output_shape) == ((2, 2, 512), (3,))
    assert (shown["block4_conv3"].trained_parameters, shown["block4_conv3"].kind) == (0, "Conv2D")
    groups = [(each.first_layer, each.layers, each.learning_rate) for each in found.groups]
    assert groups == [("logits", 1, 1e-3), ("block5_conv1", 3, 5e-4)]
    assert [each.first_epoch for each in found.groups] == [1, 3]
    epoch_steps = -(-found.training_images // 8)
    assert (found.epoch_steps, found.steps, found.epochs) == (epoch_steps, 5 * epoch_steps, 5)
    assert [phase.steps for phase in found.phases] == [2 * epoch_steps, 3 * epoch_steps]
    for phase in found.phases:
        memory = phase.memory
        assert memory.weights_bytes == 4 * found.parameters
        assert memory.gradients_bytes == 4 * phase.trained_parameters
        # Adam keeps two values per weight; it also has a learning rate and a counter.
        assert 0 <= memory.optimizer_bytes - 8 * phase.trained_parameters < 100
    assert unfrozen.memory.activations_bytes > 8 * 32 * 32 * 64 * 4 > 8 * 32 * 32 * 3
    assert not (tmp_path / "run").exists()


def test_summarize_transfer_without_augmentation_needs_only_features(
    shapes: Path, tmp_path: Path
) -> None:
    found = sm.summarize(
        shapes, tmp_path / "run", model="vgg16", mode="transfer", image_size=32, batch_size=8,
        precision="float32",
    )  # fmt: skip
    assert found.groups == ()
    (phase,) = found.phases
    assert phase.reads_features
    # The features of a batch, the logits, and the largest gradient: that of the logits.
    assert phase.memory.activations_bytes == 8 * 4 * (512 + 3 + 3)


def test_estimate_memory_adds_the_outputs_after_the_first_trained_layer() -> None:
    import keras

    from trainers.summary.memory import estimate_memory, list_layers

    image = keras.Input((8, 8, 3), dtype="uint8")
    conv = keras.layers.Conv2D(4, 3, padding="same")
    inner = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(2)])
    model = keras.Model(image, inner(conv(keras.layers.Rescaling(1 / 255)(image))))
    scaled, maps, logits = 8 * 8 * 3 * 4, 8 * 8 * 4 * 4, 2 * 4

    def activations_bytes() -> int:
        model.compile("sgd", "mse")
        model.optimizer.build(model.trainable_variables)
        found = estimate_memory(model, model, batch_size=5, input_bytes=192)
        return found.activations_bytes

    assert [type(layer).__name__ for layer in list_layers(model)] == [
        "Rescaling", "Conv2D", "Flatten", "Dense",
    ]  # fmt: skip
    assert activations_bytes() == 5 * (192 + scaled + maps + maps + logits + maps)
    conv.trainable = False
    assert activations_bytes() == 5 * (192 + maps + logits + maps)


def test_train_summary_prints_the_summary_and_trains_nothing(shapes: Path, tmp_path: Path) -> None:
    arguments = [str(shapes), str(tmp_path / "run"), "--image-size", "16", "--summary"]
    text = CliRunner().invoke(train, arguments)
    assert text.exit_code == 0, text.stderr
    expected = sm.summarize(shapes, tmp_path / "run", image_size=16)
    *shown, last = text.stdout.splitlines()
    # Keras numbers the names of layers, in the first column, within a process.
    assert [line.split()[1:] for line in shown] == [line.split()[1:] for line in expected.lines()]
    assert re.fullmatch(r"speed on this machine, about [\d,.]+ images/s, [\d,.]+ s per epoch", last)
    printed = json.loads(CliRunner().invoke(train, [*arguments, "--json"]).stdout)
    assert printed["parameters"] == expected.parameters
    assert [layer["name"] for layer in printed["layers"]][-1] == "logits"
    assert printed["phases"][0]["memory"]["total_bytes"] == expected.phases[0].memory.total_bytes
    assert printed["speed"]["images_per_second"] > 0
    assert not (tmp_path / "run").exists()


def test_summarize_speed_of_stored_features_is_that_of_their_computation(
    shapes: Path, tmp_path: Path
) -> None:
    found = sm.summarize(
        shapes, tmp_path / "run", model="vgg16", mode="transfer", weights="none", image_size=32,
        speed=True,
    ).speed  # fmt: skip
    assert found is not None
    assert found.of_features
    assert "images/s to compute features" in str(found)


def test_summarize_step_that_may_not_fit_into_memory_is_not_run(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_training(shapes, tmp_path / "run", TrainOptions(image_size=(16, 16)))
    summary = summarize_training(plan)
    needed = summary.phases[-1].memory.total_bytes
    for pages, is_measured in ((needed, False), (3 * needed, True)):
        sizes = {"SC_PHYS_PAGES": pages, "SC_PAGE_SIZE": 1}
        with monkeypatch.context() as patched:
            patched.setattr("trainers.summary.speed.os.sysconf", sizes.__getitem__)
            assert (add_speed(plan, summary).speed is not None) is is_measured


@pytest.mark.parametrize("options", [{"model": "no-such"}, {"epoch": 3}, {"batch_size": 0}])
def test_summarize_invalid_option_is_a_usage_error(
    options: dict[str, Any], shapes: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError):
        sm.summarize(shapes, tmp_path / "run", **options)
