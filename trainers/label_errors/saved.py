"""Saved result of a search for wrong labels: the output of `label-errors --json`."""

from __future__ import annotations

import os

import msgspec

from records.errors import InputNotFoundError, UsageError
from records.storage import read_named_file
from records.strict_json import decode_json
from records.user_text import decode_text
from trainers.label_errors.result import LabelErrors

_MOST_BYTES = 1 << 28
"""The size of the result for about a million candidates and outliers."""
_HINT = "write one with `shardmill label-errors DATASET --model NAME --json > FILE`"


def read_label_errors(path: str | os.PathLike[str]) -> LabelErrors:
    """Read the output of `label-errors --json`.

    Args:
        path: the path or URL of the file.

    Raises:
        InputNotFoundError: the file does not exist.
        UsageError: the file has other content.
        StorageError: storage failed after retries.
    """
    name = os.fspath(path)
    try:
        content = read_named_file(path, most_bytes=_MOST_BYTES)
    except FileNotFoundError as error:
        raise InputNotFoundError("file not found", path=name, hint=_HINT) from error
    if len(content) > _MOST_BYTES:
        raise UsageError("the file is too large", path=name, expected="the output of label-errors")
    # PowerShell writes the output of a command as UTF-16.
    text = decode_text(content, path=name, expected="the output of `label-errors --json`")
    try:
        return decode_json(text.encode("utf-8", "surrogateescape"), LabelErrors)
    except msgspec.DecodeError as error:
        raise UsageError(
            "the file is not the output of `label-errors --json`",
            path=name,
            got=str(error),
            hint=_HINT,
        ) from error
