"""Images in the arrays of NumPy's .npz files, with labels and columns."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import chain, repeat
from typing import Any

import numpy as np

from pipelines.sources.cells import MOST_LABELS, Cell, require_short
from pipelines.sources.column_names import may_have_role
from pipelines.sources.containers.byte_window import ContainerBytes, copied, damaged
from pipelines.sources.containers.entry import Entry, Label, split_in_name
from pipelines.sources.containers.formats.arrays import Samples, sample_entry, size_of
from pipelines.sources.containers.formats.npz_arrays import (
    MOST_VALUE_BYTES,
    Array,
    python_values,
    read_arrays,
    read_samples,
    read_values,
)
from records.errors import UsageError
from records.text.escaping import escape_for_display
from records.text.formatting import pluralize

_MOST_ONES = 16 << 20
_MOST_VALUES = 8 << 20
_SHOWN = 5
_WORD = re.compile(r"[^-_.]+")


def list_npz(data: ContainerBytes) -> Iterator[Entry]:
    """Yield the images of the arrays of a file; offsets are those in `unpack_npz`.

    Images are an array of bytes with the shape (N, height, width) or (N, height, width, 1 or 3).
    Their labels are the only array of N numbers or texts or, if there are several, the one whose
    name has the same split. If an image may have several labels, they can be an array of zeros and
    ones with the shape (N, classes). Other arrays of N values are columns.

    Raises:
        CorruptDataError: the file is damaged.
        UsageError: no array, or an array of another type, has images; labels are ambiguous; or an
            array that the user names does not exist, or has other values.
    """
    arrays = read_arrays(data)
    images = _images_of(arrays, data)
    columns = [_columns_of(array, arrays, data) for array in images]
    _require_kept(columns, data)
    named = _named_label(columns, data)
    offset = 0
    stem = data.container.key.rpartition(b"/")[2].rpartition(b".")[0]
    for array, found in zip(images, columns, strict=True):
        shape = array.shape
        assert shape is not None
        label = _label_array(array, found, named, data)
        labels = repeat("") if label is None else _read_labels(label, data)
        rows = _read_columns(found, label, data)
        folder = stem + b"/" + array.name.encode() if len(images) > 1 else stem
        samples = Samples(offset, shape, None, folder)
        split = split_in_name(array.name.encode())
        contents = copied(read_samples(data, array, size_of(shape)), data.copy)
        for number, (content, each, row) in enumerate(zip(contents, labels, rows, strict=False)):
            entry = sample_entry(data, samples, number, content)
            require_short(row, f"{data.shown}: image {number} of {escape_for_display(array.name)}")
            yield entry._replace(split=split, label=each, fields=row)
        offset += array.dimensions[0] * size_of(shape)
    if data.copy is not None:
        data.copy.finish()


def unpack_npz(data: ContainerBytes) -> Iterator[bytes]:
    """Yield the samples of all images of a file. Raises as `list_npz`."""
    for array in _images_of(read_arrays(data), data):
        assert array.shape is not None
        yield from read_samples(data, array, size_of(array.shape))


def _images_of(arrays: Sequence[Array], data: ContainerBytes) -> list[Array]:
    images = [array for array in arrays if array.shape is not None]
    if not images:
        shown = ", ".join(f"{it.name} {it.dtype or 'objects'} {it.dimensions}" for it in arrays[:5])
        raise UsageError(
            "no array of the file has images",
            path=data.shown,
            expected="an array of uint8 with the shape (N, height, width) or "
            "(N, height, width, 1 or 3)",
            got=escape_for_display(shown) or "no array",
        )
    return images


def _columns_of(images: Array, arrays: Sequence[Array], data: ContainerBytes) -> dict[str, Array]:
    """Return the arrays with a row per image, by the names of columns.

    The name of a column does not contain the split of the images: `age` for `age_train`.
    """
    split = split_in_name(images.name.encode())
    columns: dict[str, Array] = {}
    for array in arrays:
        own = split_in_name(array.name.encode())
        is_other = array.shape is not None or (split is not None and own not in {None, split})
        if is_other or array.dimensions[:1] != images.dimensions[:1]:
            continue
        name = _without_split(array.name) if split is not None and own == split else array.name
        if name in columns:
            raise UsageError(
                f"two arrays of the file can be the column {escape_for_display(name)}",
                path=data.shown,
                got=f"{escape_for_display(columns[name].name)}, {escape_for_display(array.name)}",
                hint="rename one of the arrays",
            )
        columns[name] = array
    return columns


def _without_split(name: str) -> str:
    """Return a name without the word of its split: `y` for `y_train`, `labels` for `val_labels`."""
    for word in _WORD.finditer(name):
        if split_in_name(word[0].encode()) is not None:
            start, end = word.span()
            rest = name[: start - 1] + name[end:] if start else name[end + 1 :]
            return rest or name
    return name


def _named_label(columns: Sequence[Mapping[str, Array]], data: ContainerBytes) -> frozenset[str]:
    """Return the names of the column that `--label-column` names, for all arrays of images.

    The option may also name an array, such as `y_train`: the labels of the test images are `y_test`
    then. Raises UsageError if no column has this name.
    """
    label = data.wanted.label
    if label is None:
        return frozenset()
    found = [name for each in columns for name, it in each.items() if label in {name, it.name}]
    if not found:
        raise _unknown("--label-column", label, columns, data)
    return frozenset(found)


def _require_kept(columns: Sequence[Mapping[str, Array]], data: ContainerBytes) -> None:
    """Raise UsageError if an array that the user names does not exist, or cannot be kept."""
    for flag, name in data.wanted.flags():
        found = [each[name] for each in columns if name in each]
        if not found:
            raise _unknown(flag, name, columns, data)
        for array in found:
            if not array.is_column:
                raise UsageError(
                    f"{flag} names an array that does not have one value per image",
                    path=data.shown,
                    expected="an array of N numbers, booleans or texts for N images",
                    got=f"{escape_for_display(array.name)} {array.dtype or 'objects'} "
                    f"{array.dimensions}",
                )


def _unknown(
    flag: str, name: str, columns: Sequence[Mapping[str, Array]], data: ContainerBytes
) -> UsageError:
    names = tuple(dict.fromkeys(chain.from_iterable(columns)))
    return UsageError(
        f"{flag} is not an array of the file with a row per image",
        path=data.shown,
        expected=", ".join(map(escape_for_display, names[:_SHOWN])) or "none",
        got=escape_for_display(name),
    )


def _label_array(
    images: Array, columns: Mapping[str, Array], names: Collection[str], data: ContainerBytes
) -> Array | None:
    """Return the array with the labels of images; None if there is none. Raises UsageError.

    Args:
        images: the array of images.
        columns: the arrays with a row per image.
        names: the names of the column that the user names.
        data: the file.
    """
    if not data.wanted.has_labels:
        return None
    if not names:
        return _find_label(images, columns, data)
    named = next((it for name, it in columns.items() if name in names), None)
    # If there is none, no other array may take its place.
    if named is not None and not named.is_label and not named.is_one_hot:
        raise UsageError(
            "--label-column names an array that does not have labels",
            path=data.shown,
            expected="an array of N integers or texts, or of zeros and ones with the shape "
            "(N, classes)",
            got=f"{escape_for_display(named.name)} {named.dtype or 'objects'} {named.dimensions}",
        )
    return named


def _find_label(images: Array, columns: Mapping[str, Array], data: ContainerBytes) -> Array | None:
    """Return the only array that can have the labels of images, or that of their split, if any.

    Raises UsageError if there are several.
    """
    wanted = data.wanted
    candidates = {name: it for name, it in columns.items() if name not in wanted.named}
    if wanted.target is not None:  # as in a list, only a name makes a column the label
        candidates = {n: it for n, it in candidates.items() if may_have_role(n, "label")}
    one_hot = [it for it in candidates.values() if it.is_one_hot]
    found = {
        name: it
        for name, it in candidates.items()
        if it.is_label or (it.is_one_hot and wanted.is_multi_label)
    }
    if len(found) > 1:
        split = split_in_name(images.name.encode())
        own = {n: it for n, it in found.items() if split_in_name(it.name.encode()) == split}
        found = own or found
    if len(found) > 1:
        shown = [*map(escape_for_display, found)][:_SHOWN]
        raise UsageError(
            f"several arrays can be the labels of {escape_for_display(images.name)}",
            path=data.shown,
            got=", ".join(shown),
            hint=f"pass --label-column {shown[0]}",
        )
    if not found and one_hot and not wanted.is_label_optional:
        raise UsageError(
            f"no array has one label for each image of {escape_for_display(images.name)}",
            path=data.shown,
            got=f"{escape_for_display(one_hot[0].name)} with the shape {one_hot[0].dimensions}",
            hint="pass --multi-label to store any number of labels per image; or --label-column "
            f"{escape_for_display(one_hot[0].name)} if each row has a single 1",
        )
    return next(iter(found.values()), None)


def _read_labels(array: Array, data: ContainerBytes) -> Iterator[Label]:
    """Yield the label of each image, or its labels: the numbers of the columns with a 1."""
    if array.is_one_hot:
        return _read_one_hot(array, data)
    values = python_values(data, array)
    if array.kind == "S":
        return (value.decode("utf-8", "replace").strip() for value in values)
    return iter(values) if array.kind in "iu" else (value.strip() for value in values)


def _read_one_hot(array: Array, data: ContainerBytes) -> Iterator[tuple[str, ...]]:
    values = read_values(data, array)
    classes = array.dimensions[1]
    if classes > MOST_LABELS or np.count_nonzero(values == 1) > _MOST_ONES:
        raise damaged(data, f"the array {escape_for_display(array.name)} has too many labels")
    # As in columns of a list, -1 is unknown, and counts as 0.
    wrong = np.argwhere((values != 0) & (values != 1) & (values != -1))
    if len(wrong):
        row, column = wrong[0].tolist()
        raise UsageError(
            f"a value of the array {escape_for_display(array.name)} is not 0 or 1",
            path=f"{data.shown}: image {row}, class {column}",
            got=str(values[row, column]),
            hint="name the array with the labels: --label-column NAME",
        )
    names = [str(number).zfill(len(str(classes - 1))) for number in range(classes)]
    return (tuple(names[number] for number in np.flatnonzero(row == 1)) for row in values)


def _read_columns(
    columns: Mapping[str, Array], label: Array | None, data: ContainerBytes
) -> Iterator[dict[str, Cell]]:
    """Yield the values to keep of each image. Raises UsageError if they are too large."""
    wanted = data.wanted
    kept = {
        name: array
        for name, array in columns.items()
        if wanted.keeps(name, (name,) if array is label else ())
    }
    size_bytes = sum(array.entry.size_bytes for array in kept.values() if array.is_column)
    count = sum(array.dimensions[0] for array in kept.values())
    if size_bytes > MOST_VALUE_BYTES or count > _MOST_VALUES:
        raise UsageError(
            "the arrays to keep are too large",
            path=data.shown,
            expected=f"at most {_MOST_VALUES:,} values and {MOST_VALUE_BYTES:,} bytes",
            got=f"{pluralize(count, 'value')} and {pluralize(size_bytes, 'byte')}",
            hint="name fewer arrays: --keep-columns NAME,NAME",
        )
    values: dict[str, Any] = {
        # Arrays of lists and of objects are not read; a column without values is left out.
        name: map(_decode, python_values(data, array)) if array.is_column else repeat(object())
        for name, array in kept.items()
    }
    while True:
        yield {name: wanted.cell(name, next(each, None)) for name, each in values.items()}


def _decode(value: Any) -> Any:
    """Return bytes as a text if they are UTF-8; any other value unchanged."""
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value
