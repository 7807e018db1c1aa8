"""ResNet-18: its size, and its use as a custom model."""

import importlib
import math

from benchmarks.inputs.resnet18 import build
from benchmarks.inputs.training_run import RESNET


def test_resnet18_has_as_many_weights_as_published_implementations() -> None:
    model = build((224, 224, 3), 1000)
    # torchvision.models.resnet18 has this number of parameters.
    assert sum(math.prod(each.shape) for each in model.trainable_weights) == 11_689_512
    assert model.output_shape == (None, 1000)


def test_resnet18_is_found_by_its_reference() -> None:
    module, _, name = RESNET.partition(":")
    assert getattr(importlib.import_module(module), name) is build
