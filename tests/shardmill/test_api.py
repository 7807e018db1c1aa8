"""The Python API: names, laziness, and the examples of its docstrings."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from msgspec import UNSET

import shardmill as sm
from pipelines.options import ConvertOptions
from records.format.image_options import ImageOptions
from tests.pipelines.pictures import make_folders
from trainers.options import TrainOptions

if TYPE_CHECKING:
    from pathlib import Path

FUNCTIONS = [name for name in sm.__all__ if name.islower() and name != "__version__"]
# In this order: each example uses what the examples before it wrote.
EXAMPLES = ("convert", "append", "compact", "extract", "export_dataset")


def test_api_every_public_name_is_in_dir_and_resolves() -> None:
    missing = [name for name in sm.__all__ if name not in dir(sm) or getattr(sm, name) is None]
    assert missing == []


def test_api_unknown_name_raises_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        sm.no_such_name  # noqa: B018


def test_api_import_loads_no_framework() -> None:
    heavy = "('numpy', 'pyarrow', 'tensorflow', 'keras', 'apache_beam', 'PIL', 'matplotlib')"
    program = f"import sys, shardmill; print([m for m in {heavy} if m in sys.modules])"
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert ended.stdout == "[]\n"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_api_function_has_docstring_and_annotated_parameters(name: str) -> None:
    function = getattr(sm, name)
    assert inspect.getdoc(function)
    signature = inspect.signature(function)
    assert all(each.annotation is not each.empty for each in signature.parameters.values())


_OF_ALL_COMMANDS = {"on_progress", "storage_patience"}


def test_convert_parameters_are_the_options_of_the_command() -> None:
    options = {*ConvertOptions.__struct_fields__, *ImageOptions.__struct_fields__}
    options -= {"images", "scaled_decode", "explicit"}  # not options of the user
    assert {*inspect.signature(sm.convert).parameters} == {*options, *_OF_ALL_COMMANDS}


def test_convert_defaults_are_those_of_the_command() -> None:
    parameters = inspect.signature(sm.convert).parameters
    images, options = ImageOptions(), ConvertOptions(source="", output="")
    for name, parameter in parameters.items():
        if parameter.default is not parameter.empty and name not in {"workers", *_OF_ALL_COMMANDS}:
            owner = images if hasattr(images, name) else options
            default = getattr(owner, name)
            assert parameter.default == (None if default is UNSET else default), name


def test_train_parameters_are_the_options_of_the_command() -> None:
    extra = {
        "dataset", "run", "folds", "data", "recipe", "minutes", "resume", "on_message", "progress"
    }  # fmt: skip
    assert {*inspect.signature(sm.train).parameters} == {*TrainOptions.__struct_fields__, *extra}


def test_train_defaults_are_those_of_the_command() -> None:
    defaults = TrainOptions()
    chosen = {
        "model",
        "mode",
        "augment",
        "head_epochs",
        "schedule",
        "epochs",
        "batch_size",
        "cache",
    }
    for name, parameter in inspect.signature(sm.train).parameters.items():
        if hasattr(defaults, name):
            default = None if name in chosen else getattr(defaults, name)
            assert parameter.default == default, name


@pytest.mark.parametrize("name", [*EXAMPLES, "train", "featurize"])
def test_api_docstring_has_an_example(name: str) -> None:
    assert examples(name)


def test_api_docstring_examples_run_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_folders(tmp_path / "photos", cat=12, dog=11)
    monkeypatch.chdir(tmp_path)
    space = {"sm": sm}
    for name in EXAMPLES:
        exec(examples(name), space)
    written = {"data", "compacted", "images", "hub"}
    assert {path.name for path in tmp_path.iterdir()} == {"photos", *written}


def examples(name: str) -> str:
    """Return the indented lines of a docstring above its first section."""
    text = re.split("Args:|Raises:", inspect.getdoc(getattr(sm, name)) or "")[0]
    return "\n".join(line.strip() for line in re.findall(r"^    .*$", text, re.MULTILINE))
