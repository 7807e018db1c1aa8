"""Tests of the registry of models against Keras."""

from __future__ import annotations

import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from records.errors import UsageError
from trainers.models import MODELS, find_model

APPLICATIONS = {name: spec for name, spec in MODELS.items() if spec.application is not None}


class RequestedSizesError(Exception):
    """Raised in place of building a network, once Keras has requested its sizes."""


def get_classifier(name: str) -> tuple[Any, Any]:
    """Return the module in `keras.applications`, and the classifier in it."""
    family, _, classifier = str(MODELS[name].application).partition(".")
    module = importlib.import_module(f"keras.applications.{family}")
    return module, getattr(module, classifier, None) or getattr(
        importlib.import_module("keras.applications"), classifier
    )


def test_registry_contains_every_keras_application() -> None:
    import keras

    classifiers = {
        name
        for name, value in vars(keras.applications).items()
        if inspect.isfunction(value) and not name.startswith("_")
    }
    named = {str(spec.application).partition(".")[2] for spec in APPLICATIONS.values()}
    assert named == classifiers
    assert len(APPLICATIONS) == len(classifiers) == 40


@pytest.mark.parametrize("name", APPLICATIONS)
def test_registry_names_are_keras_classes_in_snake_case(name: str) -> None:
    classifier = str(MODELS[name].application).partition(".")[2]
    assert name.replace("_", "") == classifier.lower()
    assert MODELS[name].has_backbone
    assert MODELS[name].channels == 3


@pytest.mark.parametrize("name", [name for name in APPLICATIONS if "mobilenet_v3" not in name])
def test_registry_sizes_equal_those_of_keras(name: str) -> None:
    from keras.src.applications import imagenet_utils

    _, classifier = get_classifier(name)
    with (
        mock.patch.object(
            imagenet_utils, "obtain_input_shape", side_effect=RequestedSizesError
        ) as asked,
        pytest.raises(RequestedSizesError),
    ):
        classifier(weights=None)
    sizes = asked.call_args.kwargs
    assert MODELS[name].size_px == (sizes["default_size"], sizes["default_size"])
    assert MODELS[name].min_side_px == sizes["min_size"]


@pytest.mark.parametrize("name", ["mobilenet_v3_small", "mobilenet_v3_large"])
def test_registry_mobilenet_v3_sizes_equal_those_of_keras(name: str) -> None:
    # It does not ask `obtain_input_shape`: it refuses small images, and warns if its
    # ImageNet weights have another size.
    _, classifier = get_classifier(name)
    size_px, min_px = MODELS[name].size_px, MODELS[name].min_side_px
    with pytest.raises(ValueError, match=f"at least {min_px}x{min_px}"):
        classifier(weights=None, input_shape=(min_px - 1, min_px, 3))
    layers = f"{classifier.__module__}.layers"
    failing: dict[str, Any] = {"Input.side_effect": RequestedSizesError}
    with (
        mock.patch(layers, **failing),
        pytest.warns(UserWarning, match=re.escape(f"input shape {size_px}")),
        pytest.raises(RequestedSizesError),
    ):
        classifier(weights="imagenet", input_shape=(size_px[0] - 1, size_px[1], 3))


def test_registry_cnns_have_no_backbone() -> None:
    assert [name for name, spec in MODELS.items() if not spec.has_backbone] == [
        "cnn", "cnn-512", "cnn-bn",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("InceptionV3", "inception_v3"),
        ("vgg99", "vgg"),
        ("resnet-50", "resnet50"),
        ("CNN", "cnn"),
        ("transformer", "classifier of keras.applications"),
    ],
)
def test_find_model_unknown_name_is_refused_with_suggestions(name: str, near: str) -> None:
    with pytest.raises(UsageError, match=f"unknown model, expected .*{near}.*, got '{name}'"):
        find_model(name)


def test_registry_import_loads_no_framework() -> None:
    heavy = ("keras", "tensorflow", "jax", "numpy", "h5py")
    program = f"import sys, trainers.models; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]", done


def test_registry_documentation_lists_every_model() -> None:
    path = Path(__file__).parents[3] / "docs" / "reference" / "models.md"
    page = path.read_text(encoding="utf-8")
    rows = re.findall(
        r"^\| `(\S+)` \| (.+) \| (\d+) \| (\d+) \| [\d,]+ \| \S+(?: %)? \| (\S+) \|$",
        page,
        flags=re.MULTILINE,
    )
    assert [(name, int(side), int(least), float(rate)) for name, _, side, least, rate in rows] == [
        (name, spec.size_px[0], spec.min_side_px, spec.learning_rate)
        for name, spec in MODELS.items()
    ]
    classifiers = {name: what.strip("`") for name, what, *_ in rows if MODELS[name].has_backbone}
    assert classifiers == {
        name: str(spec.application).partition(".")[2] for name, spec in APPLICATIONS.items()
    }
