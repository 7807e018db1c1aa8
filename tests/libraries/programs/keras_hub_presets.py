"""Presets of tiny backbones, and checks of their networks: `NAME FOLDER`."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

import shardmill as sm
from trainers.backend import start_backend

if TYPE_CHECKING:
    from trainers.options import Pooling

start_backend()

import keras  # noqa: E402
import keras_hub  # noqa: E402

SIDE_PX, CLASSES = 32, {"blue": (40, 60, 200), "red": (200, 60, 40)}
SCALE, OFFSET = [0.02, 0.01, 0.015], [-2.0, -1.0, -1.5]
TRANSFORMER = {"num_layers": 2, "num_heads": 2, "hidden_dim": 16}
VISION = {**TRANSFORMER, "patch_size": 8, "image_shape": (SIDE_PX, SIDE_PX, 3)}
models = keras_hub.models


def write_photos(folder: Path) -> None:
    """Write 40 noisy images of each color, and convert them."""
    random = np.random.default_rng(1)
    for name, color in CLASSES.items():
        (folder / "photos" / name).mkdir(parents=True)
        for number in range(40):
            pixels = np.clip(color + random.normal(0, 30, (40, 48, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / "photos" / name / f"{number}.png")
    sm.convert(folder / "photos", folder / "data", test=0.2, validation=0.2)


def write_presets(folder: Path) -> None:
    """Write presets with the weights of a seed."""
    keras.utils.set_random_seed(2)
    vit = models.ViTBackbone(**VISION, mlp_dim=32, dropout_rate=0.1)
    converter = keras_hub.layers.ViTImageConverter(
        image_size=(SIDE_PX, SIDE_PX), scale=SCALE, offset=OFFSET
    )
    preprocessor = models.ViTImageClassifierPreprocessor(image_converter=converter)
    classifier = models.ViTImageClassifier(vit, num_classes=5, preprocessor=preprocessor)
    classifier.save_to_preset(folder / "vit")
    dino = models.DINOV2Backbone(
        **VISION, intermediate_dim=32, position_embedding_shape=(48, 48, 3), num_register_tokens=2
    )
    dino.save_to_preset(folder / "dinov2")
    text = models.SigLIPTextEncoder(
        **TRANSFORMER, vocabulary_size=9, embedding_dim=16, intermediate_dim=32,
        max_sequence_length=4,
    )  # fmt: skip
    vision = models.SigLIPVisionEncoder(**VISION, intermediate_dim=32)
    models.SigLIPBackbone(vision, text).save_to_preset(folder / "siglip")
    resnet = models.ResNetBackbone(
        input_conv_filters=[64], input_conv_kernel_sizes=[3], stackwise_num_filters=[64, 64],
        stackwise_num_blocks=[1, 1], stackwise_num_strides=[1, 2], block_type="basic_block",
    )  # fmt: skip
    resnet.save_to_preset(folder / "resnet")


def check_features(folder: Path) -> None:
    """Compare features of networks with those of KerasHub itself."""
    from trainers.config import Architecture, ImageShape
    from trainers.models.build import build_network
    from trainers.models.hub.preset import read_preset
    from trainers.models.pretrained import load_backbone

    pixels = np.random.default_rng(3).integers(0, 256, (4, SIDE_PX, SIDE_PX, 3), np.uint8)

    def features(preset: str, pooling: Pooling) -> np.ndarray:
        found, shape = read_preset(str(folder / preset)), ImageShape(SIDE_PX, SIDE_PX)
        name = f"keras-hub:{folder / preset}"
        network = build_network(
            Architecture(name, shape, 2, pooling=pooling, backbone=found.backbone)
        )
        load_backbone(network, name, "preset")
        assert network.extractor is not None
        return np.asarray(network.extractor(pixels))

    def own(preset: str, **options: object) -> keras.Model:
        return models.Backbone.from_preset(str(folder / preset), **options)

    converter = keras_hub.layers.ImageConverter.from_preset(str(folder / "vit"))
    tokens = np.asarray(own("vit")(converter(pixels)))
    scaled = {"images": pixels / np.float32(255)}
    resnet = own("resnet", image_shape=(SIDE_PX, SIDE_PX, 3))
    map_of_resnet = np.asarray(resnet(*scaled.values()))
    for found, expected in (
        (features("vit", "token"), tokens[:, 0]),
        (features("vit", "avg"), tokens.mean(1)),
        (features("vit", "max"), tokens.max(1)),
        (features("dinov2", "token"), np.asarray(own("dinov2")(scaled))[:, 0]),
        (features("siglip", "avg"), np.asarray(own("siglip").vision_encoder(scaled))),
        (features("resnet", "avg"), map_of_resnet.mean((1, 2))),
    ):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def check_scores(folder: Path) -> None:
    """Compare the scores of exports of a run with those of predictions."""
    import onnxruntime  # type: ignore[import-untyped]
    import tensorflow as tf

    records = sm.open_dataset(folder / "data")["test"][:]
    predictions = sm.Predictor(folder / "run").predict([each.image for each in records], top_k=2)
    expected = [[best.score for best in each.top] for each in predictions]
    for form in ("keras", "saved_model", "onnx"):
        sm.export(folder / "run", folder / form, form)
    serve = tf.saved_model.load(str(folder / "saved_model")).signatures["serving_default"]
    np.testing.assert_allclose(
        serve(image=tf.constant([each.image for each in records]))["scores"], expected, 0, 1e-5
    )
    # Images of the size of the model, whose pixels need no resizing.
    pixels = np.random.default_rng(4).integers(0, 256, (8, SIDE_PX, SIDE_PX, 3), np.uint8)
    scores = keras.models.load_model(folder / "keras" / "model.keras").predict(pixels, verbose=0)
    session = onnxruntime.InferenceSession(folder / "onnx" / "model.onnx")
    np.testing.assert_allclose(session.run(None, {"image": pixels})[0], scores, 0, 1e-5)


def check_cache(folder: Path) -> None:
    """Read a preset by its name, from a cache of Kaggle, without a network."""
    from trainers.models.hub.preset import find_file, read_preset

    name = "vit_base_patch16_224_imagenet"
    handle, _, version = models.Backbone.presets[name]["kaggle_handle"].rpartition("/")
    cached = Path(os.environ["KAGGLEHUB_CACHE"], "models", handle.removeprefix("kaggle://"))
    shutil.copytree(folder / "vit", cached / version)
    (cached / ".complete" / version).mkdir(parents=True)
    for path in (cached / version).glob("*.*"):
        (cached / ".complete" / version / f"{path.name}.complete").touch()
    assert read_preset(name) == read_preset(str(folder / "vit"))
    assert find_file(name, "model.weights.h5") == cached / version / "model.weights.h5"


if __name__ == "__main__":
    globals()[sys.argv[1]](Path(sys.argv[2]))
