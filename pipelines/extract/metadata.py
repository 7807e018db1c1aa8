"""Labels and columns of extracted images: `metadata.jsonl`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipelines.extract.paths import METADATA
from pipelines.sources.cells import cell_text
from pipelines.sources.column_names import is_same_name, may_have_role
from pipelines.sources.lists.columns import NO_COLUMN
from pipelines.sources.lists.kept_columns import infer_columns
from records.dataset import Dataset, Split
from records.exchange.fields import present_value
from records.format.columns import Column, Columns, Value
from records.format.layout import LABELS

_PATH, _LABEL, _LABELS = "file_name", "label", "labels"

_encode = msgspec.json.Encoder().encode


class WrittenImage(NamedTuple):
    """An image in the folder of its shard.

    Attributes:
        path: the wanted path, relative to the folder of its split.
        class_names: the names of its classes.
        columns: the values of the columns that the dataset keeps, by name.
    """

    path: Path
    class_names: tuple[str, ...]
    columns: Mapping[str, Value]


class MetadataFields(NamedTuple):
    """The fields of each line.

    Attributes:
        path: the name of the field with the path of the image, relative to the file.
        label: the name of the field with the class, or with the list of classes.
        columns: the columns of the dataset.
        is_multi_label: whether an image has any number of labels.
    """

    path: str
    label: str
    columns: Columns
    is_multi_label: bool

    def encode(
        self,
        path: str,
        class_names: Collection[str],
        values: Mapping[str, Value],
        as_text: Collection[str],
    ) -> bytes:
        """Return the line of an image.

        Args:
            path: the path of the image, relative to the file.
            class_names: the names of its classes.
            values: the values of the columns, by name.
            as_text: the columns whose numbers are written as texts; see `needs_text`.
        """
        label = list(class_names) if self.is_multi_label else next(iter(class_names))
        line: dict[str, object] = {self.path: path, self.label: label}
        for name, value in values.items():
            short = present_value(value)
            line[name] = str(short) if name in as_text and short is not None else short
        return bytes(_encode(line)) + b"\n"

    def options(self) -> list[str]:
        """Return the options of `convert` with which it reads the same labels and columns."""
        names = [column.name for column in self.columns]
        found = ["--multi-label"] * self.is_multi_label
        if self.path != _PATH:
            found += ["--path-column", self.path]
        if any(may_have_role(name, "label") for name in names):
            found += ["--label-column", self.label]
        for role in ("split", "group"):
            if any(may_have_role(name, role) for name in names):
                found += [f"--{role}-column", NO_COLUMN]
        if names:
            is_all = not any(may_have_role(name) for name in names)
            found += ["--keep-columns", "all" if is_all else ",".join(names)]
        return found


def choose_fields(columns: Columns, *, is_multi_label: bool) -> MetadataFields:
    """Return the fields of the lines of a dataset: their names differ from those of its columns."""
    names = [column.name for column in columns]
    label = _LABELS if is_multi_label else _LABEL
    return MetadataFields(_free(_PATH, names), _free(label, names), columns, is_multi_label)


def _free(wanted: str, names: Collection[str]) -> str:
    name, number = wanted, 2
    while any(is_same_name(name, other) for other in names):
        name, number = f"{wanted}_{number}", number + 1
    return name


def needs_text(column: Column, values: Iterable[NDArray[np.float32]]) -> bool:
    """Return whether `convert` would give the numbers of a column another type than float32.

    In JSON, 1.0 and 1 are the same number, but the text `1.0` is not an integer.

    Args:
        column: the column.
        values: all its values, in parts.
    """
    texts: set[object] = set()
    for part in values:
        finite = part[np.isfinite(part)]
        if np.any(finite % 1):
            return False
        texts.update(cell_text(value) for value in np.unique(part).tolist())
    (inferred,) = infer_columns({column.name: list(map(str, texts))})
    return inferred.type != column.type


def has_metadata(dataset: Dataset) -> bool:
    """Return whether folders cannot show the labels and the columns of a dataset."""
    return dataset.is_multi_label or bool(dataset.columns)


def options_to_convert(dataset: Dataset, splits: Iterable[Split] | None = None) -> list[str]:
    """Return the options with which `convert` makes a dataset of extracted images again.

    Its classes, their labels, the splits and the columns are those of the extracted dataset.

    Args:
        dataset: the dataset.
        splits: the splits that were extracted; by default, all.
    """
    fields = choose_fields(dataset.columns, is_multi_label=dataset.is_multi_label)
    options = fields.options() if has_metadata(dataset) else []
    if needs_label_map(dataset, dataset.values() if splits is None else splits):
        options += ["--labels", f"{dataset.storage.url.rstrip('/')}/{LABELS}"]
    return options


def needs_label_map(dataset: Dataset, splits: Iterable[Split]) -> bool:
    """Return whether `convert` would number the classes of the images of splits differently."""
    counts = [split.info.class_records for split in splits]
    has_all = all(map(any, zip(*counts, strict=True)))
    return not has_all or list(dataset.labels) != sorted(dataset.labels, key=str.encode)


class MetadataWriter:
    """The files `metadata.jsonl` of all splits."""

    def __init__(self, dataset: Dataset, folder: Path) -> None:
        self._folder = folder
        self._fields = choose_fields(dataset.columns, is_multi_label=dataset.is_multi_label)
        self._as_text = [
            column.name
            for column in dataset.columns
            if column.type == "float32" and needs_text(column, _values(dataset, column.name))
        ]

    def write(self, split: str, paths: Sequence[Path], images: Sequence[WrittenImage]) -> None:
        """Add the lines of the images of a shard, which are at these paths. Raises OSError."""
        top = self._folder / split
        with (top / METADATA).open("ab") as stream:
            for path, image in zip(paths, images, strict=True):
                name = path.relative_to(top).as_posix()
                line = self._fields.encode(name, image.class_names, image.columns, self._as_text)
                stream.write(line)


def _values(dataset: Dataset, name: str) -> Iterator[NDArray[np.float32]]:
    """Yield the values of a column in the indexes of all shards."""
    for split in dataset.values():
        for number in range(len(split.info.shards)):
            columns = split.load_index(number).table["columns"].combine_chunks()
            yield pc.struct_field(columns, [name]).to_numpy(zero_copy_only=False)
