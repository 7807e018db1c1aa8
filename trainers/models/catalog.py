"""List of all models: sizes, parameters, published accuracy, local weights.

for model in models().models:
    print(model.name, model.parameters, model.top_1_accuracy)
"""

from __future__ import annotations

import os
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from records.text.escaping import escape_surrogates
from records.text.formatting import align, pluralize
from trainers.models.built_in import MODELS
from trainers.models.registry import ENTRY_POINTS, HUB_PREFIX, REGISTERED

if TYPE_CHECKING:
    from trainers.models.spec import ModelSpec

ACCURACY_SOURCE = "https://keras.io/api/applications/"
_TF = "weights_tf_dim_ordering_tf_kernels"
_NO_VALUE = "-"


class _Figures(NamedTuple):
    """Figures of a built-in model that only Keras could compute.

    Attributes:
        parameters: the number of parameters without the layer of the logits.
        top_1_percent: the accuracy on ImageNet that Keras publishes; None if it publishes none.
        weights: the name of the file of the ImageNet weights without top, in the folder of Keras.
    """

    parameters: int
    top_1_percent: float | None = None
    weights: str | None = None


# The test of this module computes the parameters, and compares the names of the files with Keras.
FIGURES = {
    "cnn": _Figures(3_988_640),
    "cnn-512": _Figures(10_640_928),
    "cnn-bn": _Figures(72_896),
    "convnext_tiny": _Figures(27_820_128, 81.3, "convnext_tiny_notop.h5"),
    "convnext_small": _Figures(49_454_688, 82.3, "convnext_small_notop.h5"),
    "convnext_base": _Figures(87_566_464, 85.3, "convnext_base_notop.h5"),
    "convnext_large": _Figures(196_230_336, 86.3, "convnext_large_notop.h5"),
    "convnext_xlarge": _Figures(348_147_968, 86.7, "convnext_xlarge_notop.h5"),
    "densenet121": _Figures(7_037_504, 75.0, f"densenet121_{_TF}_notop.h5"),
    "densenet169": _Figures(12_642_880, 76.2, f"densenet169_{_TF}_notop.h5"),
    "densenet201": _Figures(18_321_984, 77.3, f"densenet201_{_TF}_notop.h5"),
    "efficientnet_b0": _Figures(4_049_571, 77.1, "efficientnetb0_notop.h5"),
    "efficientnet_b1": _Figures(6_575_239, 79.1, "efficientnetb1_notop.h5"),
    "efficientnet_b2": _Figures(7_768_569, 80.1, "efficientnetb2_notop.h5"),
    "efficientnet_b3": _Figures(10_783_535, 81.6, "efficientnetb3_notop.h5"),
    "efficientnet_b4": _Figures(17_673_823, 82.9, "efficientnetb4_notop.h5"),
    "efficientnet_b5": _Figures(28_513_527, 83.6, "efficientnetb5_notop.h5"),
    "efficientnet_b6": _Figures(40_960_143, 84.0, "efficientnetb6_notop.h5"),
    "efficientnet_b7": _Figures(64_097_687, 84.3, "efficientnetb7_notop.h5"),
    "efficientnet_v2_b0": _Figures(5_919_312, 78.7, "efficientnetv2-b0_notop.h5"),
    "efficientnet_v2_b1": _Figures(6_931_124, 79.8, "efficientnetv2-b1_notop.h5"),
    "efficientnet_v2_b2": _Figures(8_769_374, 80.5, "efficientnetv2-b2_notop.h5"),
    "efficientnet_v2_b3": _Figures(12_930_622, 82.0, "efficientnetv2-b3_notop.h5"),
    "efficientnet_v2_s": _Figures(20_331_360, 83.9, "efficientnetv2-s_notop.h5"),
    "efficientnet_v2_m": _Figures(53_150_388, 85.3, "efficientnetv2-m_notop.h5"),
    "efficientnet_v2_l": _Figures(117_746_848, 85.7, "efficientnetv2-l_notop.h5"),
    "inception_resnet_v2": _Figures(54_336_736, 80.3, f"inception_resnet_v2_{_TF}_notop.h5"),
    "inception_v3": _Figures(21_802_784, 77.9, f"inception_v3_{_TF}_notop.h5"),
    "mobilenet": _Figures(3_228_864, 70.4, "mobilenet_1_0_224_tf_no_top.h5"),
    "mobilenet_v2": _Figures(2_257_984, 71.3, f"mobilenet_v2_{_TF}_1.0_224_no_top.h5"),
    "mobilenet_v3_small": _Figures(
        939_120, None, "weights_mobilenet_v3_small_224_1.0_float_no_top_v2.h5"
    ),
    "mobilenet_v3_large": _Figures(
        2_996_352, None, "weights_mobilenet_v3_large_224_1.0_float_no_top_v2.h5"
    ),
    "nasnet_mobile": _Figures(4_269_716, 74.4, "nasnet_mobile_no_top.h5"),
    "nasnet_large": _Figures(84_916_818, 82.5, "nasnet_large_no_top.h5"),
    "resnet50": _Figures(23_587_712, 74.9, f"resnet50_{_TF}_notop.h5"),
    "resnet101": _Figures(42_658_176, 76.4, f"resnet101_{_TF}_notop.h5"),
    "resnet152": _Figures(58_370_944, 76.6, f"resnet152_{_TF}_notop.h5"),
    "resnet50_v2": _Figures(23_564_800, 76.0, f"resnet50v2_{_TF}_notop.h5"),
    "resnet101_v2": _Figures(42_626_560, 77.2, f"resnet101v2_{_TF}_notop.h5"),
    "resnet152_v2": _Figures(58_331_648, 78.0, f"resnet152v2_{_TF}_notop.h5"),
    "vgg16": _Figures(14_714_688, 71.3, f"vgg16_{_TF}_notop.h5"),
    "vgg19": _Figures(20_024_384, 71.3, f"vgg19_{_TF}_notop.h5"),
    "xception": _Figures(20_861_480, 79.0, f"xception_{_TF}_notop.h5"),
}


class ModelSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A model of `train --model`.

    Attributes:
        name: the name of the model.
        application: the classifier in `keras.applications`; None for other models.
        height_px: the default height of the input; None if an installed package has the model,
            which is not imported.
        width_px: the default width of the input.
        min_side_px: the smallest height and width of the input.
        parameters: the number of parameters of the network without the layer of the logits, at the
            default size; None for a registered model.
        top_1_accuracy: the accuracy (0 to 1) of the classifier with the ImageNet weights on the
            validation images of ImageNet, as Keras publishes it; None if it does not.
        learning_rate: the default learning rate of training from scratch.
        weights: the path of the ImageNet weights on this machine; None if `--weights imagenet`
            would download them, or if the model has no ImageNet weights.
    """

    name: str
    application: str | None = None
    height_px: int | None = None
    width_px: int | None = None
    min_side_px: int | None = None
    parameters: int | None = None
    top_1_accuracy: float | None = None
    learning_rate: float | None = None
    weights: str | None = None


class ModelList(msgspec.Struct, frozen=True):
    """All models of `train --model`.

    Attributes:
        models: the models: built in, then registered, then those of installed packages.
        weights_folder: the folder in which Keras keeps the weights that it has downloaded.
        accuracy_source: the page that publishes the accuracies.
    """

    models: tuple[ModelSummary, ...]
    weights_folder: str
    accuracy_source: str = ACCURACY_SOURCE

    def lines(self) -> list[str]:
        """Return a table of the models, and notes."""
        names = ("name", "size", "minimum", "parameters", "top-1", "learning rate", "weights")
        found = pluralize(sum(model.weights is not None for model in self.models), "model")
        return [
            *align([names, *map(_describe, self.models)], right=" >>>>>"),
            f"parameters: without the logits; top-1: accuracy on ImageNet ({self.accuracy_source})",
            f"ImageNet weights of {found} in {self.weights_folder}; Keras downloads the others",
            "--weights FILE: a weights file in another folder",
            f"{HUB_PREFIX}PRESET: a backbone of KerasHub, from a preset (a folder or a name)",
        ]

    def __repr__(self) -> str:
        return "\n".join(self.lines())


def models() -> ModelList:
    """List the models of `train --model`, without loading Keras.

        print(sm.models())

    The weights are those that Keras has downloaded to its folder.
    """
    folder = _weights_folder()
    listed = [_summarize(name, spec, folder) for name, spec in {**MODELS, **REGISTERED}.items()]
    names = {model.name for model in listed}
    installed = sorted({entry.name for entry in entry_points(group=ENTRY_POINTS)} - names)
    return ModelList(
        (*listed, *(ModelSummary(name=name) for name in installed)),
        escape_surrogates(str(folder)),
    )


def _summarize(name: str, spec: ModelSpec, folder: Path) -> ModelSummary:
    parameters, percent, weights = FIGURES.get(name, (None, None, None))
    path = None if weights is None else folder / weights
    return ModelSummary(
        name=name,
        application=spec.application and spec.application.partition(".")[2],
        height_px=spec.size_px[0],
        width_px=spec.size_px[1],
        min_side_px=spec.min_side_px,
        parameters=parameters,
        top_1_accuracy=None if percent is None else round(percent / 100, 3),
        learning_rate=spec.learning_rate,
        weights=escape_surrogates(str(path)) if path is not None and path.is_file() else None,
    )


def _weights_folder() -> Path:
    """Return the folder to which Keras downloads weights, by the rules of `keras.config`."""
    if "KERAS_HOME" in os.environ:
        return Path(os.environ["KERAS_HOME"]) / "models"
    home = os.path.expanduser("~")  # noqa: PTH111 # Path.home() may raise
    return Path(home if os.access(home, os.W_OK) else "/tmp") / ".keras" / "models"  # noqa: S108


def _describe(model: ModelSummary) -> tuple[str, ...]:
    if model.height_px is None:
        return (model.name, *[_NO_VALUE] * 5, "of an installed package")
    sides = {model.height_px, model.width_px}
    percent = model.top_1_accuracy
    return (
        model.name,
        f"{model.height_px}" if len(sides) == 1 else f"{model.height_px}x{model.width_px}",
        f"{model.min_side_px}",
        _NO_VALUE if model.parameters is None else f"{model.parameters:,}",
        _NO_VALUE if percent is None else f"{percent:.1%}",
        f"{model.learning_rate:g}",
        _NO_VALUE if model.application is None else "found" if model.weights else "to download",
    )
