"""Types of option values: paths, new files, numbers, fractions."""

from __future__ import annotations

import math
import os
import re
from decimal import Decimal, InvalidOperation
from typing import Any, get_args

import click
from click.shell_completion import CompletionItem

from records.arguments import NotNegative
from records.errors import UsageError
from records.storage.exclusive import require_new

_NEW_FILES = "shardmill.new_files"
_PERCENT = re.compile(r"([0-9.,]+)\s*%")
_RATIO = re.compile(r"(\d+)\s*/\s*(\d+)")


class Location(click.ParamType[str]):
    """The type of paths and URLs; tab completes the names of files and folders.

    Args:
        names: words that the option also accepts; tab completes them too.
    """

    name = "path"

    def __init__(self, *names: str) -> None:
        self.names = names

    def convert(self, value: Any, param: Any, _ctx: Any) -> str:
        """Return the path or URL. Raises UsageError if it is empty."""
        path = str(value)
        if not path:
            is_option = isinstance(param, click.Option)
            name = param.opts[0] if is_option else param.human_readable_name
            raise UsageError(f"{name} is empty", expected="a path or URL")
        return path

    def shell_complete(self, _ctx: Any, _param: Any, incomplete: str) -> list[CompletionItem]:
        """See `click.ParamType.shell_complete`."""
        found = [CompletionItem(name) for name in self.names if name.startswith(incomplete)]
        return found or [CompletionItem(incomplete, type="file")]


class NewFile(Location):
    """The type of a file that a command writes; an existing file is never overwritten.

    Args:
        extension: the extension that the name must have, such as `.png`; empty if any.
        what: the content of such files, for messages.
    """

    def __init__(self, extension: str = "", *, what: str = "pictures") -> None:
        super().__init__()
        self._extension = extension
        self._what = what

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        """Return the path. Raises UsageError, OutputError."""
        path = super().convert(value, param, ctx)
        if path == "-":
            raise UsageError(
                "the option writes a file, and not the standard output",
                got="-",
                hint="give a path; ./- is a file of this name",
            )
        if not path.lower().endswith(self._extension):
            raise UsageError(
                f"{self._what} are written as {self._extension[1:].upper()}",
                expected=f"a name ending in {self._extension}",
                got=path,
            )
        require_new(path)
        others = {} if ctx is None else ctx.meta.setdefault(_NEW_FILES, {})
        other = others.setdefault(os.path.realpath(path), param)
        if other is not param:
            raise UsageError(
                "two options name the same new file",
                path=path,
                got=f"{other.opts[0]} and {param.opts[0]}",
            )
        return path


class Count(click.IntRange):
    """The type of whole numbers with the bounds of a type of `records.arguments`.

    Args:
        kind: the annotated type, such as `Positive`.
    """

    def __init__(self, kind: Any = NotNegative) -> None:
        bounds = get_args(kind)[1]
        super().__init__(bounds.ge, bounds.le)
        self._is_bounded = bounds.le != get_args(NotNegative)[1].le

    def _describe_range(self) -> str:
        return super()._describe_range() if self._is_bounded else f"x>={self.min}"


class PositiveNumber(click.FloatRange):
    """The type of finite numbers above 0, or from 0 if `zero` is true."""

    def __init__(self, *, zero: bool = False) -> None:
        super().__init__(0, min_open=not zero)

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        """See `click.ParamType.convert`."""
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


class Fraction(click.ParamType[Any]):
    """The type of fractions from 0 to below 1.

    Args:
        zero: whether 0 is allowed.
        one: whether 1.0 is allowed.
        count_flag: the option for a whole number, for the hint.
        or_count: whether a whole number is a count, such as in `--max-rejects 5`.
    """

    name = "F"

    def __init__(
        self,
        *,
        zero: bool = False,
        one: bool = False,
        count_flag: str | None = None,
        or_count: bool = False,
    ) -> None:
        self._zero, self._one = zero, one
        self._count_flag, self._or_count = count_flag, or_count

    def convert(self, value: Any, param: Any, ctx: Any) -> float | int:
        """See `click.ParamType.convert`."""
        text = str(value).strip()
        if self._or_count and (count := _to_count(text)) is not None:
            return count
        number = _to_float(text)
        if number is not None and 0 < number < 1:
            return number
        rounded = _describe_rounding(text)
        if not rounded and ((self._zero and number == 0) or (self._one and number == 1)):
            return number
        expected = "a fraction between 0 and 1" + ", or a whole number" * self._or_count
        raise click.BadParameter(
            f"must be {expected}, got {value}{rounded or self._suggest(text)}", ctx=ctx, param=param
        )

    def _suggest(self, text: str) -> str:
        fraction = _guess_fraction(text)
        words = [] if fraction is None else [_shortest(fraction)]
        if self._count_flag is not None and (count := _to_count(text)):
            words.append(f"{self._count_flag} {count}")
        return f"; did you mean {' or '.join(words)}?" if words else ""


def _guess_fraction(text: str) -> float | None:
    """Return the fraction that a percentage, a ratio, or a number with a slip stands for."""
    if ratio := _RATIO.fullmatch(text):
        parts = _to_float(ratio[1]), _to_float(ratio[2])
        guess = parts[0] / parts[1] if parts[0] is not None and parts[1] else None
    elif percent := _PERCENT.fullmatch(text):
        number = _to_float(percent[1].replace(",", "."))
        guess = None if number is None else number / 100
    else:
        # `0,2`, `0.2.` and `.2,`: a decimal comma, and a stray mark at the end.
        guess = _to_float(text.replace(",", ".").rstrip("."))
        if guess is not None and guess >= 1:
            guess /= 100
    return guess if guess is not None and 0 < guess < 1 else None


def _shortest(fraction: float) -> str:
    """Return a fraction with six digits, or with all if six would round it to 1."""
    text = f"{fraction:.6g}"
    return text if float(text) < 1 else repr(fraction)


def _describe_rounding(text: str) -> str:
    """Return a remark on a fraction that has too many digits for a float; empty for others."""
    try:
        exact = Decimal(text)
    except InvalidOperation:
        return ""
    number = _to_float(text)
    is_rounded = not exact.is_nan() and 0 < exact < 1 and number in {0, 1}
    return f", which is rounded to {number:.0f}" if is_rounded else ""


def _to_count(text: str) -> int | None:
    """Return a whole number from 0; None for other texts, and for more digits than Python takes."""
    try:
        return int(text) if text.isdecimal() else None
    except ValueError:
        return None


def _to_float(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
