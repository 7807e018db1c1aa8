"""Values of training options, which become those of `TrainOptions`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import click
from click.shell_completion import CompletionItem

from records.cli.params import Location
from records.errors import UsageError
from trainers.augment.spec import parse_augmentation
from trainers.models import MODELS, find_model, is_reference
from trainers.options import Augmentation

_SIZE = re.compile(r"([1-9]\d{0,3})(?:x([1-9]\d{0,3}))?")


class ImageSize(click.ParamType[tuple[int, int]]):
    """The type of image sizes: `H` or `HxW` becomes (height, width) in pixels."""

    name = "H[xW]"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:  # noqa: ARG002
        """Return the name in its own case."""
        return self.name

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, int]:
        """See `click.ParamType.convert`."""
        if isinstance(value, tuple):
            return value
        sides = _SIZE.fullmatch(str(value))
        if sides is None:
            self.fail(
                f"{value!r} is not a size: write 180, or 180x240 for height x width", param, ctx
            )
        return int(sides[1]), int(sides[2] or sides[1])


class ModelName(click.ParamType[str]):
    """The type of model names; a value may also be `package.module:builder`."""

    name = "NAME"

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        """See `click.ParamType.convert`."""
        if is_reference(str(value)):
            return str(value)
        try:
            find_model(str(value))
        except UsageError as error:
            self.fail(str(error), param, ctx)
        return str(value)

    def shell_complete(self, _ctx: Any, _param: Any, incomplete: str) -> list[CompletionItem]:
        """See `click.ParamType.shell_complete`."""
        names = (name for name in MODELS if name.startswith(incomplete))
        return [CompletionItem(name) for name in names]


class Unfreeze(click.ParamType[object]):
    """The type of `--unfreeze`: a number of layers, or `all`."""

    name = "N|all"

    def convert(self, value: Any, param: Any, ctx: Any) -> object:
        """See `click.ParamType.convert`."""
        if value == "all" or isinstance(value, int):
            return value
        if not str(value).isdecimal() or int(value) < 1:
            self.fail(f"{value!r} is neither a number of layers nor `all`", param, ctx)
        return int(value)


class Augment(click.ParamType[Augmentation]):
    """The type of `--augment`: a specification becomes an `Augmentation`."""

    name = "WORDS"

    def convert(self, value: Any, param: Any, ctx: Any) -> Augmentation:
        """See `click.ParamType.convert`."""
        if isinstance(value, Augmentation):
            return value
        try:
            return parse_augmentation(str(value))
        except UsageError as error:
            self.fail(str(error), param, ctx)


class Weights(Location):
    """The type of `--class-weights`: `none`, `balanced`, or a file with weights of classes."""

    name = "WEIGHTS"

    def __init__(self) -> None:
        super().__init__("none", "balanced")

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """See `click.ParamType.convert`. Raises InputNotFoundError, UsageError."""
        if isinstance(value, Mapping) or value in self.names:
            return value
        from trainers.options_file import read_class_weights

        return read_class_weights(super().convert(value, param, ctx))
