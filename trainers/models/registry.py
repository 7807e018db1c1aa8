"""The models there are, as a table; nothing of Keras is loaded by reading it."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Literal

from records.errors import UsageError


@dataclass(frozen=True)
class ModelSpec:
    """A model that can be trained.

    Args:
        module: the module whose `build(architecture)` returns its `Network`.
        size_px: (height, width) it is fed where neither the user nor the dataset has a say.
        least_side_px: the smallest height and width it works on.
        learning_rate: Adam's, to train it from scratch, where none is given.
        channels: what it must be fed; None is 1 or 3, as the dataset has them.
        application: the classifier in `keras.applications`, as `module.Class`, of a model that is
            one.
    """

    module: str
    size_px: tuple[int, int]
    least_side_px: int
    learning_rate: float
    channels: Literal[1, 3] | None = None
    application: str | None = None

    @property
    def has_base(self) -> bool:
        """Whether it is a base with weights of its own, and a head."""
        return self.application is not None


def _cnn(module: str, side_px: int, least_side_px: int, learning_rate: float) -> ModelSpec:
    return ModelSpec(f"trainers.models.{module}", (side_px, side_px), least_side_px, learning_rate)


def _keras(application: str, side_px: int, least_side_px: int, learning_rate: float) -> ModelSpec:
    return ModelSpec(
        "trainers.models.keras_applications",
        (side_px, side_px),
        least_side_px,
        learning_rate,
        channels=3,
        application=application,
    )


# Sizes and least sizes of applications are those in Keras. At Adam's usual 1e-3 deep networks
# without batch normalization do not start to learn, so VGG and ConvNeXt get a tenth.
# fmt: off
MODELS: dict[str, ModelSpec] = {
    #                                                                    side  least  learning rate
    "cnn":                 _cnn("cnn",                                    180,  8, 1e-3),
    "cnn-512":             _cnn("cnn_512",                                150,  8, 1e-3),
    "cnn-bn":              _cnn("cnn_bn",                                  28, 10, 1e-3),
    "convnext_tiny":       _keras("convnext.ConvNeXtTiny",                224, 32, 1e-4),
    "convnext_small":      _keras("convnext.ConvNeXtSmall",               224, 32, 1e-4),
    "convnext_base":       _keras("convnext.ConvNeXtBase",                224, 32, 1e-4),
    "convnext_large":      _keras("convnext.ConvNeXtLarge",               224, 32, 1e-4),
    "convnext_xlarge":     _keras("convnext.ConvNeXtXLarge",              224, 32, 1e-4),
    "densenet121":         _keras("densenet.DenseNet121",                 224, 32, 1e-3),
    "densenet169":         _keras("densenet.DenseNet169",                 224, 32, 1e-3),
    "densenet201":         _keras("densenet.DenseNet201",                 224, 32, 1e-3),
    "efficientnet_b0":     _keras("efficientnet.EfficientNetB0",          224, 32, 1e-3),
    "efficientnet_b1":     _keras("efficientnet.EfficientNetB1",          240, 32, 1e-3),
    "efficientnet_b2":     _keras("efficientnet.EfficientNetB2",          260, 32, 1e-3),
    "efficientnet_b3":     _keras("efficientnet.EfficientNetB3",          300, 32, 1e-3),
    "efficientnet_b4":     _keras("efficientnet.EfficientNetB4",          380, 32, 1e-3),
    "efficientnet_b5":     _keras("efficientnet.EfficientNetB5",          456, 32, 1e-3),
    "efficientnet_b6":     _keras("efficientnet.EfficientNetB6",          528, 32, 1e-3),
    "efficientnet_b7":     _keras("efficientnet.EfficientNetB7",          600, 32, 1e-3),
    "efficientnet_v2_b0":  _keras("efficientnet_v2.EfficientNetV2B0",     224, 32, 1e-3),
    "efficientnet_v2_b1":  _keras("efficientnet_v2.EfficientNetV2B1",     240, 32, 1e-3),
    "efficientnet_v2_b2":  _keras("efficientnet_v2.EfficientNetV2B2",     260, 32, 1e-3),
    "efficientnet_v2_b3":  _keras("efficientnet_v2.EfficientNetV2B3",     300, 32, 1e-3),
    "efficientnet_v2_s":   _keras("efficientnet_v2.EfficientNetV2S",      384, 32, 1e-3),
    "efficientnet_v2_m":   _keras("efficientnet_v2.EfficientNetV2M",      480, 32, 1e-3),
    "efficientnet_v2_l":   _keras("efficientnet_v2.EfficientNetV2L",      480, 32, 1e-3),
    "inception_resnet_v2": _keras("inception_resnet_v2.InceptionResNetV2", 299, 75, 1e-3),
    "inception_v3":        _keras("inception_v3.InceptionV3",             299, 75, 1e-3),
    "mobilenet":           _keras("mobilenet.MobileNet",                  224, 32, 1e-3),
    "mobilenet_v2":        _keras("mobilenet_v2.MobileNetV2",             224, 32, 1e-3),
    "mobilenet_v3_small":  _keras("mobilenet_v3.MobileNetV3Small",        224, 32, 1e-3),
    "mobilenet_v3_large":  _keras("mobilenet_v3.MobileNetV3Large",        224, 32, 1e-3),
    "nasnet_mobile":       _keras("nasnet.NASNetMobile",                  224, 32, 1e-3),
    "nasnet_large":        _keras("nasnet.NASNetLarge",                   331, 32, 1e-3),
    "resnet50":            _keras("resnet.ResNet50",                      224, 32, 1e-3),
    "resnet101":           _keras("resnet.ResNet101",                     224, 32, 1e-3),
    "resnet152":           _keras("resnet.ResNet152",                     224, 32, 1e-3),
    "resnet50_v2":         _keras("resnet_v2.ResNet50V2",                 224, 32, 1e-3),
    "resnet101_v2":        _keras("resnet_v2.ResNet101V2",                224, 32, 1e-3),
    "resnet152_v2":        _keras("resnet_v2.ResNet152V2",                224, 32, 1e-3),
    "vgg16":               _keras("vgg16.VGG16",                          224, 32, 1e-4),
    "vgg19":               _keras("vgg19.VGG19",                          224, 32, 1e-4),
    "xception":            _keras("xception.Xception",                    299, 71, 1e-3),
}
# fmt: on


_KINDS = "cnn, cnn-512, cnn-bn or a classifier of keras.applications, such as inception_v3"


def find_model(name: str) -> ModelSpec:
    """The model of that name. Raises UsageError, naming those that are spelled like it."""
    if name not in MODELS:
        near = difflib.get_close_matches(name.lower(), MODELS)
        raise UsageError(
            "there is no such model",
            expected=" or ".join(near) or _KINDS,
            got=repr(name),
        )
    return MODELS[name]
