"""Types and bounds of arguments of the Python API."""

from __future__ import annotations

import datetime
import functools
import inspect
import os
import re
import types
import uuid
from collections.abc import Callable, KeysView, ValuesView
from typing import (
    Annotated,
    Any,
    Literal,
    ParamSpec,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

import msgspec

from records.errors import UsageError
from records.text.escaping import escape_for_display

_MOST = 2**31 - 1  # a number that every library accepts
NotNegative = Annotated[int, msgspec.Meta(ge=0, le=_MOST)]
Positive = Annotated[int, msgspec.Meta(ge=1, le=_MOST)]
Processes = Annotated[int, msgspec.Meta(ge=1, le=4096)]
"""Bounds of numbers, for options of the command line and for arguments."""

_Options = TypeVar("_Options")
_P = ParamSpec("_P")
_R = TypeVar("_R")
_PROBLEM = re.compile(r"(?P<what>.*?)(?: - at `\$\.?(?P<argument>[^`]*)`)?")
_NOT_TEXT = (bytes, bytearray, datetime.datetime, datetime.date, datetime.time, uuid.UUID)
_PATH = re.compile(r"\b(PathLike|FilePath)\b")
_PATH_TYPES = {"str", "PathLike", "os.PathLike", "FilePath", "None"}
_BRACKETS = re.compile(r"\[[^\[\]]*\]")
_MAY_BE_PATH = (str, os.PathLike, bytes, bytearray, int, float, types.NoneType)
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


def check_arguments(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Return a function of the Python API that checks its arguments when it is called.

    A number, a switch or a text must have the type and the bounds of its annotation; a path must be
    str or os.PathLike of str; a text must be one that a file name can have.

    Raises:
        UsageError: an argument has the wrong type, or is out of range.
    """
    signature = inspect.signature(function)

    @functools.cache
    def options() -> type[msgspec.Struct]:
        """Return a struct of the arguments that are numbers, switches or texts."""
        given = signature.parameters
        names = inspect.unwrap(function).__globals__
        kinds = {name: _find_kind(given[name].annotation, names) for name in given}
        fields = [(name, kind, None) for name, kind in kinds.items() if kind is not None]
        return msgspec.defstruct(function.__name__, fields)

    @functools.wraps(function)
    def checked(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        given = signature.bind(*args, **kwargs).arguments
        for name, value in given.items():
            annotation = str(signature.parameters[name].annotation)
            if _PATH.search(annotation):
                _require_paths(name, annotation, value)
            _require_names(name, value)
        names = given.keys() & set(options().__struct_fields__)
        build_options(options(), {name: given[name] for name in names})
        return function(*args, **kwargs)

    return checked


def _find_kind(annotation: Any, names: dict[str, Any]) -> Any:
    """Return the type of an argument that is a number, a switch or a text; None for others."""
    holder = types.SimpleNamespace(__annotations__={"it": annotation})
    try:
        kind = get_type_hints(holder, names, include_extras=True)["it"]
    except NameError:  # a type that is imported for type checkers alone
        return None
    return kind if _is_plain(kind) else None


def _is_plain(kind: Any) -> bool:
    origin = get_origin(kind)
    if origin is Annotated:
        return _is_plain(get_args(kind)[0])
    # No tuples: msgspec crashes on a union of a bounded number and a tuple.
    if origin in {types.UnionType, Union}:
        return all(map(_is_plain, get_args(kind)))
    return origin is Literal or kind in {str, int, float, bool, types.NoneType}


def require_path(name: str, value: object) -> None:
    """Check that an argument is a path: str, or os.PathLike of str, that a file can have.

    Raises:
        UsageError: the argument has a different type, or contains a character that no path has.
    """
    path = os.fspath(value) if isinstance(value, os.PathLike) else value
    if not isinstance(path, str):
        raise UsageError(
            f"argument {name}: not a path", expected="str or os.PathLike[str]", got=_type_name(path)
        )
    _require_name(name, path)


def _require_paths(name: str, annotation: str, value: Any) -> None:
    """Check an argument whose annotation allows paths, and perhaps values of other types."""
    while _BRACKETS.search(annotation):
        annotation = _BRACKETS.sub("", annotation)
    allowed = {part.strip() for part in annotation.split("|")}
    if value is None and "None" in allowed:
        return
    if allowed <= _PATH_TYPES or isinstance(value, _MAY_BE_PATH):
        require_path(name, value)
        return
    for part in _parts(value):
        if isinstance(part, _MAY_BE_PATH):
            require_path(name, part)


def _require_names(name: str, value: Any) -> None:
    """Check that all texts in an argument are texts that a file name can have."""
    for part in _parts(value):
        if isinstance(part, str):
            _require_name(name, part)
        elif part is not value:
            _require_names(name, part)


def _require_name(name: str, text: str) -> None:
    problem = "a NUL character" if "\0" in text else None
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        problem = "a character that is half of a surrogate pair"
    if problem is not None:
        raise UsageError(f"argument {name}: a text has {problem}", got=escape_for_display(text))


def _parts(value: Any) -> tuple[Any, ...]:
    if isinstance(value, dict):
        return (*value, *value.values())
    is_several = isinstance(value, list | tuple | set | frozenset | KeysView | ValuesView)
    return tuple(value) if is_several else (value,)


def _type_name(value: object) -> str:
    return "None" if value is None else type(value).__name__


def _explain(options: type, name: str, what: str) -> str:
    if what.startswith("Invalid enum value"):
        choices = ", ".join(map(str, _words(get_type_hints(options).get(name))))
        return f"{what.lower()}, expected one of {choices}"
    for theirs, python in _PYTHON_NAMES.items():
        what = re.sub(rf"\b{theirs}\b", python, what)
    return what[0].lower() + what[1:]


def _words(kind: Any) -> list[Any]:
    """Return the words of a type, or of all types in a union."""
    if get_origin(kind) is Literal:
        return [*get_args(kind)]
    return [word for part in get_args(kind) for word in _words(part)]


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
