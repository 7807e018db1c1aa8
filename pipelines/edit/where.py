"""Conditions on the columns of an index, such as `class == 'cat' and width < 100`.

The syntax is a part of the Python syntax. A condition is parsed into a tree, of which only the
listed nodes are accepted, and computed by Arrow: no text of a user is executed.
"""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from records.errors import UsageError
from records.format.columns import Columns
from records.format.index import Index, index_schema
from records.format.index.row import COLUMNS
from records.format.label_map import LabelMap
from records.format.layout import SPLITS, SplitName
from records.format.manifest import Manifest
from records.text.escaping import escape_for_display
from records.text.formatting import pluralize

Mask: TypeAlias = NDArray[np.bool_]

_MAX_CHARACTERS = 10_000
_NUMBERS = ("label", "width", "height", "channels", "source_bytes", "stored_bytes")
_TEXTS = ("class", "split", "key", "format")
_WORDS = {"and", "or", "not", "in", "True", "False", "None", "is", "if", "else", "lambda", "for"}
_PREFIX = "_name_"
_COMPARE: Mapping[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: pc.equal,
    ast.NotEq: pc.not_equal,
    ast.Lt: pc.less,
    ast.LtE: pc.less_equal,
    ast.Gt: pc.greater,
    ast.GtE: pc.greater_equal,
}
_EXAMPLE = "class == 'cat' and width < 100"


class _Column(NamedTuple):
    """The values of a column, a text or a number per record, or several per record.

    `known` are the values that a text can have; None if it can have any.
    """

    name: str
    values: pa.Array | pa.ChunkedArray
    known: tuple[str, ...] | None = None

    @property
    def is_list(self) -> bool:
        """Whether a record has any number of values."""
        return bool(pa.types.is_list(self.values.type))

    @property
    def type(self) -> pa.DataType:
        """The type of a value."""
        return self.values.type.value_type if self.is_list else self.values.type

    @property
    def is_text(self) -> bool:
        """Whether a value is a text, not a number."""
        return bool(pa.types.is_string(self.type))

    def scalar(self, constant: str | float) -> pa.Scalar:
        """Return a constant to compare with the values."""
        # A float32 column has the nearest value to 0.1, which is not that of a float64.
        kind = self.type if pa.types.is_floating(self.type) else None
        try:
            return pa.scalar(constant, kind)
        except (OverflowError, pa.ArrowException) as error:
            raise _invalid("the condition has a number out of range", got=constant) from error

    def check(self, constant: str | float, *, is_known: bool = True) -> None:
        """Raise UsageError for a constant that no value of the column can equal.

        Args:
            constant: the constant.
            is_known: whether the class or the split of this name must exist: a name with a typing
                error would select no record, or all.
        """
        if isinstance(constant, str) != self.is_text:
            expected = "a text in quotes" if self.is_text else "a number"
            what = f"the condition compares {self.name} with another type"
            raise _invalid(what, expected=expected, got=repr(constant))
        if is_known and self.known is not None and constant not in self.known:
            raise _invalid(
                f"the dataset has no {self.name} of this name",
                expected=", ".join(map(escape_for_display, self.known)),
                got=constant,
            )


class Condition:
    """A parsed condition on the records of a dataset.

    Args:
        text: the condition, with the columns of an index, `class`, `split`, and the kept columns.
        manifest: the manifest of the dataset.

    Raises:
        UsageError: the condition is invalid, or names a column, a class or a split that the dataset
            does not have.
    """

    def __init__(self, text: str, manifest: Manifest) -> None:
        self._labels, self._columns = manifest.labels, manifest.settings.columns
        self._tree = _parse(text)
        schema = index_schema(self._columns, multi_label=manifest.settings.is_multi_label)
        self._evaluate(schema.empty_table(), "train")

    def mask(self, split: SplitName, index: Index) -> Mask:
        """Return whether the condition is true for each record of a shard, (N,)."""
        return self._evaluate(index.table, split)

    def _evaluate(self, table: pa.Table, split: SplitName) -> Mask:
        found = _Evaluation(_list_columns(table, split, self._labels, self._columns), len(table))
        try:
            return found.mask(self._tree)
        except RecursionError as error:
            raise _invalid("the condition is nested too deeply") from error


def _parse(text: str) -> ast.expr:
    if len(text) > _MAX_CHARACTERS:
        got = pluralize(len(text), "character")
        raise _invalid(
            "the condition is too long", expected=f"at most {_MAX_CHARACTERS:,}", got=got
        )
    try:
        return ast.parse(_hide_keywords(text.strip()), mode="eval").body
    except (SyntaxError, ValueError, tokenize.TokenError, RecursionError, MemoryError) as error:
        raise _invalid("the condition is not valid", got=text) from error


def _hide_keywords(text: str) -> str:
    """Return a condition with a prefix before each name: Python reserves some, such as `class`."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return tokenize.untokenize(
        (kind, _PREFIX + word if kind == tokenize.NAME and word not in _WORDS else word)
        for kind, word, *_ in tokens
    )


def _list_columns(
    table: pa.Table, split: SplitName, labels: LabelMap, kept: Columns
) -> dict[str, _Column]:
    """Return the columns that a condition can name; those of the index come before kept ones."""
    found: dict[str, _Column] = {}
    if kept:
        parts = table[COLUMNS].combine_chunks().flatten()
        found = {
            column.name: _Column(column.name, values)
            for column, values in zip(kept, parts, strict=True)
        }
    for name in (*_NUMBERS, "key", "format"):
        values = table[name].cast(pa.string()) if name == "format" else table[name]
        found[name] = _Column(name, values)
    names = pa.array(labels, pa.string())
    if "labels" in table.column_names:
        lists = table["labels"].combine_chunks()
        found["label"] = _Column("label", lists)
        classes = pa.ListArray.from_arrays(lists.offsets, names.take(lists.values))
    else:
        classes = names.take(table["label"].combine_chunks())
    found["class"] = _Column("class", classes, labels)
    found["split"] = _Column("split", pa.repeat(pa.scalar(split), len(table)), SPLITS)
    return found


class _Evaluation:
    """The value of each part of a condition, for the records of one shard."""

    def __init__(self, columns: Mapping[str, _Column], rows: int) -> None:
        self._columns = columns
        self._rows = rows

    def mask(self, node: ast.expr) -> Mask:
        """Return whether a part of the condition is true for each record."""
        match node:
            case ast.BoolOp(op=ast.And()):
                return reduce(np.logical_and, map(self.mask, node.values))
            case ast.BoolOp():
                return reduce(np.logical_or, map(self.mask, node.values))
            case ast.UnaryOp(op=ast.Not()):
                return ~self.mask(node.operand)
            case ast.Compare():
                sides = [node.left, *node.comparators]
                pairs = zip(sides, node.ops, sides[1:], strict=False)
                return reduce(np.logical_and, (self._compare(*pair) for pair in pairs))
        raise _invalid("the condition has an unknown part", got=_show(node))

    def _compare(self, left: ast.expr, operator: ast.cmpop, right: ast.expr) -> Mask:
        if isinstance(operator, ast.NotEq):  # the opposite of ==, also with several labels
            return ~self._compare(left, ast.Eq(), right)
        if isinstance(operator, ast.In | ast.NotIn):
            is_in = self._is_in(left, right)
            return is_in if isinstance(operator, ast.In) else ~is_in
        if (compare := _COMPARE.get(type(operator))) is None:
            raise _invalid("the condition has an unknown comparison", got=f"`is` {_show(right)}")
        sides = self._value(left), self._value(right)
        column = next((side for side in sides if isinstance(side, _Column)), None)
        if column is None:
            got = f"{_show(left)}, {_show(right)}"
            raise _invalid("the condition compares no column", got=got)
        other = sides[1] if column is sides[0] else sides[0]
        if isinstance(operator, ast.Eq) and not isinstance(other, _Column):
            return self._is_any(column, [other])
        self._require_comparable(column, other)
        values = [
            side.values if isinstance(side, _Column) else column.scalar(side) for side in sides
        ]
        return _to_mask(compare(*values))

    def _is_in(self, left: ast.expr, right: ast.expr) -> Mask:
        value = self._value(left)
        if isinstance(right, ast.Tuple | ast.List | ast.Set):
            constants = [self._value(each) for each in right.elts]
            if isinstance(value, _Column) and not any(isinstance(v, _Column) for v in constants):
                return self._is_any(value, constants)
        elif isinstance(column := self._value(right), _Column) and isinstance(value, str):
            if column.is_list:
                return self._is_any(column, [value])
            if column.is_text:
                return _to_mask(pc.match_substring(column.values, value))
        raise _invalid(
            "the condition has an invalid `in`",
            expected="COLUMN in ('a', 'b'), or 'part' in COLUMN",
            got=f"{_show(left)} in {_show(right)}",
        )

    def _is_any(self, column: _Column, constants: Sequence[Any]) -> Mask:
        """Return whether the value of each record, or one of its values, is one of these."""
        for constant in constants:
            column.check(constant)
        if not column.is_list:
            return _is_one_of(column, column.values, constants)
        mask = np.zeros(self._rows, bool)
        parents = pc.list_parent_indices(column.values).to_numpy()
        mask[parents[_is_one_of(column, column.values.flatten(), constants)]] = True
        return mask

    @staticmethod
    def _require_comparable(column: _Column, other: Any) -> None:
        """Check the sides of a comparison of other than equality with a constant."""
        for each in (column, other):
            if isinstance(each, _Column) and each.is_list:
                raise _invalid(
                    f"{each.name} has several values per image",
                    expected=f"{each.name} == VALUE, or {each.name} in (VALUE, …)",
                )
        if not isinstance(other, _Column):
            column.check(other, is_known=False)
        elif column.is_text != other.is_text:
            raise _invalid(f"the condition compares {column.name} with {other.name}")

    def _value(self, node: ast.expr) -> _Column | str | float:
        """Return the column or the constant that a part of the condition stands for."""
        match node:
            case ast.Name():
                return self._column(node.id.removeprefix(_PREFIX))
            case ast.Subscript(
                value=ast.Name(id="_name_column"), slice=ast.Constant(value=str(name))
            ):
                return self._column(name)
            case ast.Constant(value=str(text)):
                return _require_unicode(text)
            case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
                return number
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)):
                return -number
        raise _invalid("the condition has an unknown part", got=_show(node))

    def _column(self, name: str) -> _Column:
        if name not in self._columns:
            raise _invalid(
                "the condition names a column that the dataset does not have",
                expected=", ".join(sorted(self._columns)),
                got=name,
            )
        return self._columns[name]


def _require_unicode(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:  # such as the escape '\\ud800'
        raise _invalid("the condition has a text that is not valid Unicode", got=text) from error
    return text


def _is_one_of(
    column: _Column, values: pa.Array | pa.ChunkedArray, constants: Sequence[Any]
) -> Mask:
    if column.is_text:
        return _to_mask(pc.is_in(values, value_set=pa.array(constants, pa.string())))
    equal = (_to_mask(pc.equal(values, column.scalar(constant))) for constant in constants)
    return reduce(np.logical_or, equal, np.zeros(len(values), bool))


def _to_mask(values: pa.Array | pa.ChunkedArray) -> Mask:
    return np.array(pc.fill_null(values, fill_value=False).to_pylist(), bool)


def _show(node: ast.expr) -> str:
    return ast.unparse(node).replace(_PREFIX, "")


def _invalid(what: str, **details: Any) -> UsageError:
    return UsageError(f"--where: {what}", **details, hint=f'write a condition such as "{_EXAMPLE}"')
