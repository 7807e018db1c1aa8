"""What options can be typed as, beyond click's own kinds."""

from __future__ import annotations

import re
from typing import Any

import click
from click.shell_completion import CompletionItem

from records.errors import UsageError
from trainers.augmentation import parse_augmentation
from trainers.models import MODELS, find_model
from trainers.options import Augmentation

_SIZE = re.compile(r"([1-9]\d{0,3})(?:x([1-9]\d{0,3}))?")


class ImageSize(click.ParamType[tuple[int, int]]):
    """`H` or `HxW`, as (height, width) in pixels."""

    name = "H[xW]"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, int]:
        """See `click.ParamType.convert`."""
        if isinstance(value, tuple):
            return value
        sides = _SIZE.fullmatch(str(value))
        if sides is None:
            self.fail(f"{value!r} is no size: write 180, or 180x240 for height x width", param, ctx)
        return int(sides[1]), int(sides[2] or sides[1])


class ModelName(click.ParamType[str]):
    """A name in the table of models, too many to list them in a line."""

    name = "NAME"

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        """See `click.ParamType.convert`."""
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
    """How many layers, or `all`."""

    name = "N|all"

    def convert(self, value: Any, param: Any, ctx: Any) -> object:
        """See `click.ParamType.convert`."""
        if value == "all" or isinstance(value, int):
            return value
        if not str(value).isdecimal() or int(value) < 1:
            self.fail(f"{value!r} is neither a number of layers nor `all`", param, ctx)
        return int(value)


class Augment(click.ParamType[Augmentation]):
    """The words of `--augment`."""

    name = "WORDS"

    def convert(self, value: Any, param: Any, ctx: Any) -> Augmentation:
        """See `click.ParamType.convert`."""
        if isinstance(value, Augmentation):
            return value
        try:
            return parse_augmentation(str(value))
        except UsageError as error:
            self.fail(str(error), param, ctx)
