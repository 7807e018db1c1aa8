"""Lists in JSON: lines, an array, and exports of annotation tools."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

from pipelines.sources.cells import Cell, Row, cell_text
from pipelines.sources.column_names import may_have_role
from pipelines.sources.lists.table import ListTable, is_image_path
from records.errors import UsageError
from records.strict_json import LoneSurrogateError, decode_json
from records.text.escaping import escape_for_display

_Object = dict[str, Any]
_LABELLED = ("path", "label")
"""Columns of the tables that this module makes of exports."""
_MOST_DEPTH = 3


def is_json(text: str) -> bool:
    """Return whether a text begins as JSON objects and arrays do."""
    return text[:4096].lstrip()[:1] in {"{", "["}


def read_json_table(text: str, path: str, *, is_lines: bool) -> ListTable:
    """Return the table of JSON lines, of an array of objects, or of a known export.

    Known exports are those of Label Studio and FiftyOne, and COCO with categories, as iNaturalist
    uses it.

    Args:
        text: the text.
        path: the path of the list, for messages.
        is_lines: whether the name of the file is that of JSON lines.

    Raises:
        UsageError: the text is not valid JSON, or is neither of these.
    """
    content = text.encode("utf-8", "surrogateescape")
    if not is_lines and content.lstrip()[:1] == b"[":
        return _read_array(_decode(content, list[_Object], path), path)
    if not is_lines and (whole := _read_whole(content)) is not None:
        return _read_object(whole, path)
    return _table_of_objects(lambda: _read_lines(content, path), path, unit="line")


def _table_of_objects(
    objects: Callable[[], Iterator[tuple[int, _Object]]], path: str, *, unit: str
) -> ListTable:
    """Return a table with a column for each name, and for each field `name.field` of an object."""
    columns: dict[str, None] = {}
    for _, found in objects():
        columns.update(dict.fromkeys(_flatten(found)))

    def rows() -> Iterator[tuple[int, Row]]:
        for number, found in objects():
            cells: dict[str, Cell] = dict.fromkeys(name for name in found if name in columns)
            cells.update((name, cell_text(value)) for name, value in _flatten(found).items())
            yield number, cells

    return ListTable(path, tuple(columns), rows, unit=unit)


def _flatten(found: _Object, depth: int = _MOST_DEPTH) -> _Object:
    """Return the fields of an object, and of the objects in it up to the largest depth."""
    fields: _Object = {}
    for name, value in found.items():
        if isinstance(value, dict) and depth:
            inner = _flatten(value, depth - 1)
            fields.update({f"{name}.{field}": item for field, item in inner.items()})
        else:
            fields[name] = value
    return fields


def _read_lines(content: bytes, path: str) -> Iterator[tuple[int, _Object]]:
    for number, line in enumerate(content.split(b"\n"), start=1):
        if line.strip():
            yield number, _decode(line, _Object, f"{path} line {number}")


def _decode(content: bytes, kind: Any, place: str) -> Any:
    try:
        return decode_json(content, kind)
    except LoneSurrogateError as error:
        raise UsageError(
            "a text in the list is not valid Unicode",
            path=place,
            got=str(error),
            hint="write the character as UTF-8, or as both halves of its surrogate pair",
        ) from error
    except msgspec.DecodeError as error:
        is_array = kind is not _Object
        raise UsageError(
            "the list is not a JSON array of objects"
            if is_array
            else "a line is not a JSON object of column names and values",
            path=place,
            got=escape_for_display(str(error)),
        ) from error


def _read_whole(content: bytes) -> _Object | None:
    """Return the object if the text is one object over several lines, or has no column of paths."""
    try:
        found = decode_json(content, _Object)
    except msgspec.DecodeError:
        return None
    has_path = any(may_have_role(name, "path") for name in found)
    is_line = len(content.split(b"\n", 2)) < 3 and has_path and not _is_coco(found)
    return None if is_line and not any(map(is_image_path, found)) else found


def _read_array(found: list[_Object], path: str) -> ListTable:
    if found and isinstance(found[0].get("data"), dict) and "annotations" in found[0]:
        return _table(map(_read_task, found), path)
    return _table_of_objects(lambda: enumerate(found, start=1), path, unit="row")


def _table(labelled: Iterable[tuple[Cell, Cell]], path: str) -> ListTable:
    pairs = list(labelled)

    def rows() -> Iterator[tuple[int, Row]]:
        for number, pair in enumerate(pairs, start=1):
            yield number, dict(zip(_LABELLED, pair, strict=True))

    return ListTable(path, _LABELLED, rows, unit="row")


def _read_task(task: _Object) -> tuple[Cell, Cell]:
    """Return the image of a task of Label Studio, and the choices of its annotators."""
    data = task.get("data")
    values = data if isinstance(data, dict) else {}
    texts = {name: value for name, value in values.items() if isinstance(value, str)}
    images = [value for value in texts.values() if is_image_path(value)]
    choices: dict[str, None] = {}
    for annotation in _objects(task.get("annotations")):
        if annotation.get("was_cancelled") is True:
            continue
        for result in _objects(annotation.get("result")):
            value = result.get("value")
            chosen = cell_text(value.get("choices")) if isinstance(value, dict) else None
            choices.update(dict.fromkeys(chosen if isinstance(chosen, tuple) else ()))
    return texts.get("image", images[0] if images else ""), tuple(choices)


def _objects(value: object) -> list[_Object]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _is_coco(found: _Object) -> bool:
    return {"images", "annotations"} <= found.keys()


def _read_object(found: _Object, path: str) -> ListTable:
    """Return the table of JSON of COCO or FiftyOne, or of an object of paths, or of labels."""
    if _is_coco(found):
        return _table(_read_coco(found), path)
    if found.keys() == {"classes", "labels"} and isinstance(found["labels"], dict):
        return _table(_read_fiftyone(found), path)
    if found and all(map(is_image_path, found)):
        return _table(((name, cell_text(label)) for name, label in found.items()), path)
    lists = {label: cell_text(paths) for label, paths in found.items() if isinstance(paths, list)}
    if found and len(lists) == len(found) and all(lists.values()):
        return _table(
            ((name, label) for label, names in lists.items() for name in names or ()), path
        )
    raise UsageError(
        "the list is a JSON object of an unknown form",
        path=path,
        expected="an array of objects, or one object per line",
        got=", ".join(map(escape_for_display, list(found)[:10])) or "an empty object",
        hint='write one line per image, such as {"path": "1.jpg", "label": "cat"}, to a file that '
        "ends in .jsonl",
    )


def _read_coco(found: _Object) -> Iterator[tuple[Cell, Cell]]:
    names = {
        str(category.get("id")): cell_text(category.get("name"))
        for category in _objects(found.get("categories"))
    }
    labels: dict[str, dict[str, None]] = {}
    for annotation in _objects(found["annotations"]):
        number = str(annotation.get("category_id"))
        name = names.get(number, number)
        labels.setdefault(str(annotation.get("image_id")), {})[str(name)] = None
    for image in _objects(found["images"]):
        yield cell_text(image.get("file_name")), tuple(labels.get(str(image.get("id")), ()))


def _read_fiftyone(found: _Object) -> Iterator[tuple[Cell, Cell]]:
    """Yield images and labels; the images have no extensions, and a label may be a number."""
    classes = found["classes"] if isinstance(found["classes"], list) else []
    for name, value in found["labels"].items():
        target = value.get("label") if isinstance(value, dict) else value
        if isinstance(target, int) and 0 <= target < len(classes):
            target = classes[target]
        yield name, cell_text(target)
