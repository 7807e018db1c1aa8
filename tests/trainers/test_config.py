"""Tests of the configuration of a run."""

from __future__ import annotations

import json

import msgspec
import pytest

from records.errors import CorruptDataError
from records.images import ImageOptions
from trainers.config import (
    DECODER,
    FORMAT_VERSION,
    Architecture,
    ImageShape,
    RunConfig,
    Target,
    decode_config,
    encode_config,
)
from trainers.options import TrainOptions

CONFIG = RunConfig(
    format_version=FORMAT_VERSION,
    options=TrainOptions(image_size=(24, 32), cache="disk"),
    architecture=Architecture("cnn", ImageShape(24, 32, 1), classes=5),
    learning_rate=0.001,
    images=ImageOptions(channels=1),
    dataset="/data",
    plan_digests=("0" * 32,),
)


def test_run_config_encoded_then_decoded_is_unchanged() -> None:
    assert decode_config(encode_config(CONFIG), path="config.json") == CONFIG


def test_run_config_encoded_has_sorted_keys_and_final_newline() -> None:
    content = encode_config(CONFIG)
    assert content.endswith(b"}\n")
    assert list(json.loads(content)) == sorted(json.loads(content))


def change(**changes: object) -> bytes:
    return json.dumps({**json.loads(encode_config(CONFIG)), **changes}).encode()


def architecture(**shape: int) -> object:
    found = json.loads(encode_config(CONFIG))["architecture"]
    return {**found, "shape": {**found["shape"], **shape}}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a run configuration"),
        (b"[]", "not a run configuration"),
        (change(more=1), "not a run configuration"),
        (change(learning_rate="1"), "not a run configuration"),
        (change(learning_rate=-1), "not a run configuration"),
        (change(architecture=architecture(height_px=0)), "height_px"),
        (change(architecture=architecture(channels=4)), "channels"),
        (change(images={"background": "no"}), "--background is not a colour"),
        (change(format_version=FORMAT_VERSION + 1), "later version"),
    ],
)
def test_run_config_invalid_content_is_refused_with_path(content: bytes, message: str) -> None:
    with pytest.raises(CorruptDataError, match=message) as caught:
        decode_config(content, path="run/config.json")
    assert str(caught.value).startswith("run/config.json: ")


def test_run_config_of_format_version_2_has_the_first_decoder() -> None:
    content = json.loads(encode_config(msgspec.structs.replace(CONFIG, decoder=DECODER)))
    del content["decoder"]
    found = decode_config(json.dumps({**content, "format_version": 2}).encode(), path="")
    assert found.decoder == 1


def test_run_config_of_format_version_3_has_the_task_classification() -> None:
    content = json.loads(encode_config(CONFIG))
    del content["architecture"]["task"]
    found = decode_config(json.dumps({**content, "format_version": 3}).encode(), path="")
    assert found.task == "classification"


def test_run_config_task_is_kept_and_an_unknown_task_is_refused() -> None:
    content = json.loads(encode_config(CONFIG))
    for task, is_known in (("multi-label", True), ("ranking", False)):
        content["architecture"]["task"] = task
        encoded = json.dumps(content).encode()
        if is_known:
            assert decode_config(encoded, path="").task == task
        else:
            with pytest.raises(CorruptDataError, match="task"):
                decode_config(encoded, path="config.json")


def test_run_config_of_format_version_4_has_no_target() -> None:
    content = json.loads(encode_config(CONFIG))
    del content["architecture"]["target"], content["options"]["target"]
    found = decode_config(json.dumps({**content, "format_version": 4}).encode(), path="")
    assert (found.architecture.target, found.options.target) == (None, None)


TARGET = {"name": "age", "mean": 40.0, "deviation": 10.0}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, None),
        ({"target": None}, "contradicts itself in its task"),
        ({"task": "classification"}, "contradicts itself in its task"),
        ({"classes": 5}, "contradicts itself in its task"),
        ({"target": {**TARGET, "deviation": 0}}, "deviation"),
        ({"target": {**TARGET, "deviation": -1}}, "deviation"),
        ({"target": {**TARGET, "mean": 1e39}}, "mean"),
        ({"target": {**TARGET, "name": ""}}, "name"),
    ],
)
def test_run_config_target_belongs_to_the_task_regression(
    changes: dict[str, object], message: str | None
) -> None:
    content = json.loads(encode_config(CONFIG))
    regression = {"task": "regression", "target": TARGET, "classes": 1, **changes}
    content["architecture"] |= regression
    encoded = json.dumps(content).encode()
    if message is None:
        assert decode_config(encoded, path="").architecture.target == Target(**TARGET)  # type: ignore[arg-type]
        return
    with pytest.raises(CorruptDataError, match=message):
        decode_config(encoded, path="run/config.json")


def test_run_config_of_format_version_5_has_no_fold() -> None:
    content = json.loads(encode_config(CONFIG))
    del content["options"]["fold"]
    found = decode_config(json.dumps({**content, "format_version": 5}).encode(), path="")
    assert found.options.fold is None


@pytest.mark.parametrize(
    ("fold", "is_valid"),
    [
        ("1/2", True),
        ("100/100", True),
        ("3/2", False),
        ("0/2", False),
        ("1/101", False),
        ("", False),
    ],
)
def test_run_config_fold_is_one_of_a_number(fold: str, is_valid: bool) -> None:
    content = json.loads(encode_config(CONFIG))
    content["options"]["fold"] = fold
    encoded = json.dumps(content).encode()
    if is_valid:
        assert decode_config(encoded, path="").options.fold == fold
        return
    with pytest.raises(CorruptDataError, match="not a fold"):
        decode_config(encoded, path="run/config.json")


def test_run_config_of_format_version_6_has_no_choices_and_no_limit() -> None:
    content = json.loads(encode_config(CONFIG))
    for name in ("choices", "time_limit_seconds", "restarts"):
        del content[name]
    found = decode_config(json.dumps({**content, "format_version": 6}).encode(), path="")
    assert (found.choices, found.time_limit_seconds, found.restarts) == ((), None, ())


def test_run_config_restarts_that_do_not_increase_are_refused() -> None:
    content = json.loads(encode_config(CONFIG))
    content["restarts"] = [3, 2]
    with pytest.raises(CorruptDataError, match="restarts"):
        decode_config(json.dumps(content).encode(), path="")


def test_run_config_of_format_version_7_trains_all_layers_alike_and_logs_nothing() -> None:
    content = json.loads(encode_config(CONFIG))
    for name in ("layer_decay", "unfreeze_epochs", "log"):
        del content["options"][name]
    content["options"]["tensorboard"] = True
    found = decode_config(json.dumps({**content, "format_version": 7}).encode(), path="").options
    assert (found.layer_decay, found.unfreeze_epochs) == (None, 0)
    assert found.loggers == ("tensorboard",)


def test_run_config_of_format_version_8_has_no_preset_and_no_lora() -> None:
    content = json.loads(encode_config(CONFIG))
    del content["options"]["lora"], content["architecture"]["backbone"]
    found = decode_config(json.dumps({**content, "format_version": 8}).encode(), path="")
    assert (found.options.lora, found.architecture.backbone) == (None, None)


@pytest.mark.parametrize(
    "changes",
    [
        {"lora": 0},
        {"layer_decay": 0},
        {"layer_decay": 1.1},
        {"unfreeze_epochs": 101},
        {"log": ["csv"]},
    ],
)
def test_run_config_fine_tuning_or_logger_out_of_range_is_refused(
    changes: dict[str, object],
) -> None:
    content = json.loads(encode_config(CONFIG))
    content["options"] |= changes
    with pytest.raises(CorruptDataError, match=next(iter(changes))):
        decode_config(json.dumps(content).encode(), path="")
