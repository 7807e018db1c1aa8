"""The table of the built-in models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainers.models.spec import ModelSpec

if TYPE_CHECKING:
    from trainers.defaults import Kind


def _cnn(
    module: str, side_px: int, min_side_px: int, learning_rate: float, kind: Kind = "cnn"
) -> ModelSpec:
    return ModelSpec(
        f"trainers.models.networks.{module}", (side_px, side_px), min_side_px, learning_rate, kind
    )


def _keras(application: str, side_px: int, min_side_px: int, learning_rate: float) -> ModelSpec:
    return ModelSpec(
        "trainers.models.networks.keras_applications",
        (side_px, side_px),
        min_side_px,
        learning_rate,
        "application",
        channels=3,
        application=application,
    )


# Sizes and minimum sizes of applications come from Keras. With 1e-3, the default of Adam, deep
# networks without batch normalization do not start to learn, so VGG and ConvNeXt use 1e-4.
# fmt: off
MODELS: dict[str, ModelSpec] = {
    #                                                                    side  least  learning rate
    "cnn":                 _cnn("cnn",                                    180,  8, 1e-3),
    "cnn-512":             _cnn("cnn_512",                                150,  8, 1e-3),
    "cnn-bn":              _cnn("cnn_bn",                                  28, 10, 2e-3, "cnn-bn"),
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
