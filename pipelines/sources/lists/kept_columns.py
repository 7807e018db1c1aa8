"""Columns of a list that the dataset keeps: their types and values."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np

from pipelines.options import ConvertOptions
from pipelines.sources.cells import require_short
from pipelines.sources.lists.table import ListTable, show_names
from records.errors import UsageError
from records.format.columns import (
    MAX_COLUMNS,
    Column,
    Columns,
    ColumnType,
    Value,
    check_column_name,
)
from records.text.escaping import escape_for_display
from records.text.formatting import pluralize
from records.text.keys import key_to_text
from records.user_text import is_utf8

# A number with leading zeros is an ID: as a number, it would lose them.
_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,18})")
_NUMBER = re.compile(
    r"[+-]?((0|[1-9][0-9]{0,300})(\.[0-9]{0,1000})?|\.[0-9]{1,1000})([eE][+-]?[0-9]{1,3})?"
)
_MISSING = frozenset({"", "nan"})
_MAX_FLOAT32 = 3.4028235e38
_EXACT_IN_FLOAT32 = 1 << 24
_INT64 = range(-(1 << 63), 1 << 63)


def kept_names(
    table: ListTable, options: ConvertOptions, left: Sequence[str], target: str | None = None
) -> tuple[str, ...]:
    """Return the columns of a list that `--keep-columns` and `--target-column` select.

    Args:
        table: the list.
        options: the options.
        left: the columns that have no role.
        target: the column of `--target-column`, if there is one.

    Raises:
        UsageError: a column does not exist, there are too many, or a name cannot be that of a
            feature.
    """
    chosen = left if options.keep_columns == "all" else named_to_keep(options)
    names = dict.fromkeys((*chosen, target) if target is not None else chosen)
    for name in names:
        if name not in table.columns:
            flag = "--target-column" if name == target else "--keep-columns"
            raise UsageError(
                f"{flag} is not a column of the {table.kind}",
                path=table.path,
                expected=table.shown_columns() if table.columns else None,
                got=escape_for_display(name),
                hint="pass --keep-columns all --dry-run to see all columns"
                if table.kind == "containers"
                else None,
            )
        try:
            check_column_name(name)
        except UsageError as error:
            error.path, error.hint = table.path, "rename the column, or name those to keep"
            raise
    if len(names) > MAX_COLUMNS:
        raise UsageError(
            "there are too many columns to keep",
            path=table.path,
            expected=f"at most {MAX_COLUMNS:,}",
            got=len(names),
            hint="name those to keep: --keep-columns NAME,NAME",
        )
    return tuple(names)


def named_to_keep(options: ConvertOptions) -> list[str]:
    """Return the columns that `--keep-columns` names."""
    given = options.keep_columns
    if given is None or given in {"all", "none"}:
        return []
    names = map(str.strip, given.split(",")) if isinstance(given, str) else given
    return [name for name in dict.fromkeys(names) if name]


def infer_columns(
    texts: Mapping[str, Iterable[str]], targets: Collection[str | None] = ()
) -> Columns:
    """Return the columns with these values, sorted by name.

    All values of a column decide on its type: int64 for integers; float32 for other numbers, and
    for integers with missing values if float32 can represent all of them; otherwise, string.

    Args:
        texts: the values of each column, by name, as texts.
        targets: the columns whose type is float32 whatever their values, which are numbers.
    """
    names = sorted(texts, key=str.encode)
    return tuple(
        Column(name, "float32" if name in targets else _infer_type(texts[name])) for name in names
    )


def _infer_type(texts: Iterable[str]) -> ColumnType:
    is_integer, has_missing, has_value, largest = True, False, False, 0.0
    for text in dict.fromkeys(texts):
        plain = text.strip()
        if is_missing(text):
            has_missing = True
            continue
        if (number := _parse_number(plain)) is None:
            return "string"
        has_value = True
        is_integer = is_integer and isinstance(number, int)
        largest = max(largest, abs(number))
    if not has_value:
        return "string"
    if is_integer and not has_missing:
        return "int64"
    return "string" if is_integer and largest > _EXACT_IN_FLOAT32 else "float32"


def _parse_number(text: str) -> int | float | None:
    """Return the number in a text; None if int64 and float32 cannot represent it."""
    if _INTEGER.fullmatch(text) and (integer := int(text)) in _INT64:
        return integer
    if _NUMBER.fullmatch(text):
        number = float(text)
        return number if abs(number) <= _MAX_FLOAT32 else None
    return None


def parse_values(columns: Columns, texts: Sequence[str], where: str) -> list[Value]:
    """Return the values of one row.

    Args:
        columns: the columns of the dataset.
        texts: the text of each of these columns.
        where: the place of the row, for messages.

    Raises:
        UsageError: a text is not a value of the type of its column.
    """
    return [_parse(column, text, where) for column, text in zip(columns, texts, strict=True)]


def _parse(column: Column, text: str, where: str) -> Value:
    if column.type == "string":
        return text
    if column.type == "float32" and is_missing(text):
        return math.nan
    number = _parse_number(text.strip())
    if number is None or (column.type == "int64" and not isinstance(number, int)):
        raise UsageError(
            f"a value of the column {escape_for_display(column.name)} is not of the type of this"
            " column in the dataset",
            path=where,
            expected=f"a value of type {column.type}",
            got=escape_for_display(text[:100]) or "an empty cell",
        )
    return number if column.type == "int64" else _to_float32(number)


def is_missing(text: str) -> bool:
    """Return whether a text is a missing number: an empty cell or `nan`."""
    return text.strip().lower() in _MISSING


def is_quantity(texts: Collection[str]) -> bool:
    """Return whether texts are numbers, some of them not whole."""
    numbers = [_parse_number(text.strip()) for text in texts]
    is_numeric = all(number is not None for number in numbers)
    return is_numeric and any(number is not None and number % 1 for number in numbers)


def check_target(text: str, column: str, where: str, *, key: bytes) -> None:
    """Check that a text is a finite number or is missing. Raises UsageError.

    Args:
        text: the text in the target column.
        column: the name of the column.
        where: the place of the row, for messages.
        key: the key of the image, for messages.
    """
    if is_missing(text) or _parse_number(text.strip()) is not None:
        return
    raise UsageError(
        f"a value of the target column {escape_for_display(column)} is not a finite number",
        path=where,
        expected="a number that float32 can store, or an empty cell if it is unknown",
        got=escape_for_display(text[:100]),
        hint=f"correct the row of {key_to_text(key)}, or remove it",
    )


def note_missing_targets(texts: Sequence[str], column: str, path: str) -> list[str]:
    """Return a note with the number of images without a target; none if all have one.

    Args:
        texts: the text of each image in the target column.
        column: the name of the column.
        path: the place of the images, for messages.

    Raises:
        UsageError: no image has a target.
    """
    missing, shown = sum(map(is_missing, texts)), escape_for_display(column)
    if missing == len(texts):
        raise UsageError(
            f"no image has a value in the target column {shown}",
            path=path,
            hint="name the column with the numbers: --target-column NAME",
        )
    if not missing:
        return []
    without = f"{pluralize(missing, 'image')} without a value in the target column {shown}"
    return [f"{without}: training with --target {shown} leaves them out"]


def _to_float32(number: float) -> float:
    """Return the value that a record stores, so that records give the same plan as the list."""
    return float(np.float32(number))


def check_texts(texts: Mapping[str, str], where: str) -> tuple[str, ...]:
    """Return the texts of one row. Raises UsageError if they are too long to be kept, or not UTF-8.

    Args:
        texts: the text of each column that is kept, by name.
        where: the place of the row, for messages.
    """
    for column, text in texts.items():
        if not is_utf8(text):
            raise UsageError(
                f"a value of the column {escape_for_display(column)} is not valid UTF-8",
                path=where,
                got=escape_for_display(text[:100]),
                hint="save the list as UTF-8",
            )
    require_short(texts, where)
    return tuple(texts.values())


def require_columns(columns: Columns, existing: Columns | None, path: str) -> None:
    """Raise UsageError if the columns to keep are not those of the dataset to append to."""
    if existing is None:
        return
    names, wanted = ([column.name for column in each] for each in (columns, existing))
    if names != wanted:
        raise UsageError(
            "the columns to keep are not those of the dataset",
            path=path,
            expected=show_names(tuple(wanted)),
            got=show_names(tuple(names)),
            hint="omit --keep-columns: the columns of the dataset apply",
        )
