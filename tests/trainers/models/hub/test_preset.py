"""Presets of KerasHub, read without KerasHub."""

from __future__ import annotations

import importlib.util
import json
from typing import TYPE_CHECKING, Any

import pytest

from records.errors import CorruptDataError, UsageError
from trainers.models import find_model, is_reference
from trainers.models.hub.preset import read_preset, resolve_preset

if TYPE_CHECKING:
    from pathlib import Path

    from records.errors import ShardmillError

VIT = {
    "name": "vit",
    "dtype": {"class_name": "DTypePolicy"},
    "image_shape": [32, 48, 3],
    "layers": 2,
}


def write(folder: Path, config: Any, converter: Any = None, name: str = "ViTBackbone") -> str:
    saved = {"module": "keras_hub", "class_name": name, "config": config}
    (folder / "config.json").write_text(json.dumps(saved))
    if converter is not None:
        saved = {"class_name": "ImageConverter", "config": converter}
        (folder / "image_converter.json").write_text(json.dumps(saved))
    return str(folder)


def test_read_preset_without_converter_scales_pixels_to_one(tmp_path: Path) -> None:
    found = read_preset(write(tmp_path, VIT))
    assert found.backbone.class_name == "ViTBackbone"
    assert found.backbone.arguments == {"layers": 2}  # the run determines the others
    assert (found.size_px, found.has_converter) == ((32, 48), False)
    assert (found.backbone.scale, found.backbone.offset) == ((1 / 255,) * 3, (0.0,) * 3)


@pytest.mark.parametrize(
    ("converter", "size_px", "scale", "offset"),
    [
        ({"image_size": [64, 64], "scale": 0.5}, (64, 64), (0.5,) * 3, (0.0,) * 3),
        ({"offset": [1, 2, 3]}, (32, 48), (1.0,) * 3, (1.0, 2.0, 3.0)),
        (  # as early versions of KerasHub wrote it
            {"height": 8, "width": 9, "scale": 1, "mean": [2, 2, 4], "variance": [4, 1, 16]},
            (8, 9),
            (0.5, 1.0, 0.25),
            (-1.0, -2.0, -1.0),
        ),
    ],
)
def test_read_preset_has_preprocessing_of_converter(
    tmp_path: Path,
    converter: dict[str, Any],
    size_px: tuple[int, int],
    scale: tuple[float, ...],
    offset: tuple[float, ...],
) -> None:
    found = read_preset(write(tmp_path, VIT, converter))
    assert (found.size_px, found.has_converter) == (size_px, True)
    assert (found.backbone.scale, found.backbone.offset) == (scale, offset)


def test_read_preset_of_images_and_texts_is_the_vision_encoder(tmp_path: Path) -> None:
    encoder = {"class_name": "SigLIPVisionEncoder", "config": {**VIT, "image_shape": [None] * 3}}
    found = read_preset(write(tmp_path, {"vision_encoder": encoder}, name="SigLIPBackbone"))
    assert (found.backbone.class_name, found.size_px) == ("SigLIPVisionEncoder", (224, 224))


@pytest.mark.parametrize(
    ("config", "converter", "kind", "message"),
    [
        ({"vocabulary_size": 9}, None, UsageError, "does not take images"),
        ({**VIT, "layer": {"class_name": "Lambda"}}, None, UsageError, "arguments .* not support"),
        ({**VIT, "layers": 10**9}, None, UsageError, "arguments that are not supported"),
        ({**VIT, "image_shape": [0, 32, 3]}, None, UsageError, "arguments that are not supported"),
        ({"text": "x" * 2**20}, None, UsageError, "not a preset .* larger than 1,048,576 bytes"),
        ([], None, UsageError, "not a preset of KerasHub"),
        (VIT, {"scale": [1, 2]}, CorruptDataError, "not a valid image converter"),
        (VIT, {"mean": [1], "variance": [0]}, CorruptDataError, "not a valid image converter"),
    ],
)
def test_read_preset_without_usable_backbone_is_refused(
    tmp_path: Path, config: Any, converter: Any, kind: type[ShardmillError], message: str
) -> None:
    with pytest.raises(kind, match=message):
        read_preset(write(tmp_path, config, converter))


def test_read_preset_folder_without_configuration_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"not a preset of KerasHub, expected .*config\.json"):
        read_preset(str(tmp_path))


def test_find_model_prefix_names_a_preset_that_need_not_exist() -> None:
    spec = find_model("keras-hub:any/folder")
    assert (spec.preset, spec.has_backbone, spec.channels) == ("any/folder", True, 3)
    assert not is_reference("keras-hub:vit")
    for name in ("", "a\x1b[0m", "a\udc80"):
        with pytest.raises(UsageError, match="no preset of KerasHub"):
            find_model(f"keras-hub:{name}")


@pytest.mark.skipif(importlib.util.find_spec("keras_hub") is not None, reason="KerasHub is there")
def test_resolve_preset_without_extra_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"keras_hub is not installed; pip install .*\[keras-hub\]"
    ):
        resolve_preset(find_model(f"keras-hub:{tmp_path}"))
