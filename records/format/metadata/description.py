"""Description of a dataset by its user, such as name and licence.

    name = "Flowers"
    license = "CC-BY-4.0"
    creators = ["Ada Lovelace"]

The file is TOML. The manifest has its content.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from difflib import get_close_matches
from typing import Annotated, Any

import msgspec

from records.errors import InputNotFoundError, UsageError
from records.storage import read_named_file
from records.user_text import decode_toml, place_of_key

MAX_FILE_BYTES = 1 << 18
_LINE_CHARS = 1000
Line = Annotated[str, msgspec.Meta(min_length=1, max_length=_LINE_CHARS)]
Lines = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_FILE_BYTES)]
_SEVERAL_LINES = {"description", "citation", "limitations"}
_URLS = {"url"}
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
WEB_URL = re.compile(r"https?://[^\s<>\"]+")
"""Pattern of the URL of a page."""


class Description(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The description of a dataset.

    Attributes:
        name: the name of the dataset.
        description: its purpose, content and origin, as Markdown.
        license: the licence: an SPDX identifier such as `CC-BY-4.0`, or a URL.
        citation: how to cite the dataset, preferably as BibTeX.
        creators: the names of the people who made the dataset.
        publisher: the name of the organization that publishes it.
        url: the page of the dataset.
        keywords: terms to find it by.
        languages: the codes of the languages of its class names and columns, such as `en`.
        published: the date of its publication.
        limitations: its known limits and biases, as Markdown.
    """

    name: Line | None = None
    description: Lines | None = None
    license: Line | None = None
    citation: Lines | None = None
    creators: tuple[Line, ...] = ()
    publisher: Line | None = None
    url: Line | None = None
    keywords: tuple[Line, ...] = ()
    languages: tuple[Line, ...] = ()
    published: date | None = None
    limitations: Lines | None = None


def read_description(path: str | None) -> Description | msgspec.UnsetType:
    """Return the description in a file that an option names; UNSET if it names none.

    Raises:
        InputNotFoundError: the file does not exist.
        UsageError: the description is invalid.
    """
    if path is None:
        return msgspec.UNSET
    try:
        content = read_named_file(path, most_bytes=MAX_FILE_BYTES)
    except FileNotFoundError as error:
        raise InputNotFoundError("description not found", path=path) from error
    return parse_description(content, path=path)


def parse_description(content: bytes, *, path: str) -> Description:
    """Return the description in a TOML file.

    Args:
        content: the content of the file.
        path: the path of the file, for messages.

    Raises:
        UsageError: the file is not TOML, is too large, or has an unknown key or an invalid value.
    """
    text, values = decode_toml(
        content,
        path=path,
        what="the description",
        most_bytes=MAX_FILE_BYTES,
        hint='write one key per line: name = "Flowers"',
    )
    for key in values:
        if key not in Description.__struct_fields__:
            raise _unknown_key(key, place_of_key(path, text, key))
    for key, value in values.items():
        place = place_of_key(path, text, key)
        _check_value(key, value, place)
    return msgspec.convert(values, Description)


def _unknown_key(key: str, place: str) -> UsageError:
    names = Description.__struct_fields__
    similar = get_close_matches(key, names, n=1)
    return UsageError(
        "unknown key in the description",
        path=place,
        expected=", ".join(names),
        got=key,
        hint=f"write `{similar[0]}`" if similar else "remove the key",
    )


def _check_value(key: str, value: Any, place: str) -> None:
    """Raise UsageError, with the place, if a value has the wrong type or wrong characters."""
    try:
        msgspec.convert({key: value}, Description)
    except msgspec.ValidationError as error:
        raise UsageError(
            f"`{key}` has an invalid value", path=place, got=_explain(error)
        ) from error
    for text in _texts(value):
        allowed = text.replace("\n", "") if key in _SEVERAL_LINES else text
        if not text.strip():
            raise UsageError(f"`{key}` is blank", path=place, hint="remove the key")
        if _CONTROL.search(allowed.replace("\t", " ")):
            raise UsageError(
                f"`{key}` has a control character",
                path=place,
                expected="printable text"
                if key in _SEVERAL_LINES
                else "printable text in one line",
            )
        if key in _URLS and not WEB_URL.fullmatch(text):
            raise UsageError(f"`{key}` is not a URL", path=place, expected="https://…", got=text)


def _explain(error: msgspec.ValidationError) -> str:
    """Return a message about a value of TOML, which has no null."""
    return str(error).replace(" | null", "").partition(" - at ")[0].replace("Expected", "expected")


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        yield from (text for text in value if isinstance(text, str))
