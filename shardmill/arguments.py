"""Types of arguments of the Python API."""

from __future__ import annotations

import datetime
import os
import re
import uuid
from typing import Any, TypeVar, get_args, get_type_hints

import msgspec

from records.errors import UsageError

_Options = TypeVar("_Options")
_PROBLEM = re.compile(r"(?P<what>.*?)(?: - at `\$\.?(?P<argument>[^`]*)`)?")
_NOT_TEXT = (bytes, bytearray, datetime.datetime, datetime.date, datetime.time, uuid.UUID)
_PYTHON_NAMES = {"array": "sequence", "object": "mapping", "null": "None"}


def build_options(options: type[_Options], given: dict[str, Any]) -> _Options:
    """Return options with the given values; paths and NumPy scalars are converted.

    Raises:
        UsageError: an argument has the wrong type, or is out of range.
    """
    try:
        plain = msgspec.to_builtins(given, builtin_types=_NOT_TEXT, enc_hook=_to_builtin)
        return msgspec.convert(plain, options)
    except msgspec.ValidationError as error:
        problem = _PROBLEM.fullmatch(str(error))
        assert problem is not None  # the pattern matches any line
        name = problem["argument"] or ""
        raise UsageError(f"argument {name}: {_explain(options, name, problem['what'])}") from error


def _explain(options: type, name: str, what: str) -> str:
    choices = get_args(get_type_hints(options).get(name))
    if what.startswith("Invalid enum value"):
        return f"{what.lower()}, expected one of {', '.join(map(str, choices))}"
    for theirs, python in _PYTHON_NAMES.items():
        what = re.sub(rf"\b{theirs}\b", python, what)
    return what[0].lower() + what[1:]


def _to_builtin(value: Any) -> Any:
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
        return value.item()
    raise UsageError(
        "an argument has the wrong type",
        expected="text, a number, a path, or a sequence of those",
        got=type(value).__name__,
    )
