"""Features of TFRecord files whose values the records keep."""

from __future__ import annotations

from collections.abc import Collection, Container, Mapping

from msgspec.structs import asdict

from pipelines.sources.cells import Cell
from pipelines.sources.containers.wanted import WantedFields
from records.errors import UsageError
from records.format.columns import column_feature
from records.format.example import FeatureValue
from records.format.schema import FeatureNames
from records.text.escaping import escape_for_display

_SHOWN = 10


def column_name(feature: str) -> str:
    """Return the name of the column of a feature: the last part of its path."""
    return feature.rpartition("/")[2]


def is_hidden_by_column(feature: str, features: Container[str]) -> bool:
    """Return whether a feature is not a column, because another one is the column of its name.

    In a dataset of shardmill with a kept column `label`, the feature `column/label` is this column,
    and `image/class/label` is the number of the class.
    """
    own = column_feature(column_name(feature))
    return feature != own and own in features


def kept_fields(
    features: Mapping[str, FeatureValue], names: FeatureNames, wanted: WantedFields
) -> dict[str, Cell]:
    """Return the values of a record to keep, by the names of columns.

    Several values, bytes other than UTF-8, and values of two features of one name are None.

    Args:
        features: all features of the record.
        names: the features that have another use.
        wanted: the columns that the user names.
    """
    used = frozenset(asdict(names).values())
    cells: dict[str, Cell] = {}
    for feature, values in features.items():
        name = column_name(feature)
        if is_hidden_by_column(feature, features):
            continue
        if wanted.keeps(name, (name,) if feature in used else ()):
            cells[name] = None if name in cells else _cell(name, values, wanted)
    return cells


def _cell(name: str, values: FeatureValue, wanted: WantedFields) -> Cell:
    if len(values) > 1 and name not in wanted.named:
        return None
    # Several values are an error that shows the first ones.
    texts = [_decode(value) if isinstance(value, bytes) else value for value in values[:_SHOWN]]
    return wanted.cell(name, texts[0] if len(texts) == 1 else texts)


def _decode(value: bytes) -> str | bytes:
    """Return the text, or bytes other than UTF-8 unchanged."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value


def require_features(wanted: WantedFields, found: Collection[str], path: str) -> None:
    """Check the features that the user names.

    Args:
        wanted: the columns that the user names.
        found: the features of the first records.
        path: the file, for messages.

    Raises:
        UsageError: a name is not that of a column, or several features have it.
    """
    for flag, name in wanted.flags():
        alike = sorted(
            feature
            for feature in found
            if column_name(feature) == name and not is_hidden_by_column(feature, found)
        )
        if "/" in name:
            raise UsageError(
                f"{flag} names a column by the last part of the name of a feature",
                path=path,
                got=escape_for_display(name),
                hint=f"pass {flag} {escape_for_display(column_name(name))}",
            )
        if len(alike) > 1:
            raise UsageError(
                f"several features can be the column {escape_for_display(name)}",
                path=path,
                got=", ".join(map(escape_for_display, alike[:_SHOWN])),
                hint=f"list the values in a file, and pass --list FILE {flag} "
                f"{escape_for_display(name)}",
            )
