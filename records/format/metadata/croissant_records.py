"""Record sets of the Croissant metadata: records, labels and splits.

The records are the rows of the indexes, because programs for Croissant do not read TFRecord files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from records.format.layout import SPLITS
from records.format.metadata.croissant_files import INDEXES

if TYPE_CHECKING:
    from records.format.columns import Column
    from records.format.layout import SplitName
    from records.format.manifest import Manifest

Json = dict[str, Any]

_SPLIT_URLS: dict[SplitName, str] = {
    "train": "cr:TrainingSplit",
    "test": "cr:TestSplit",
    "validation": "cr:ValidationSplit",
}
_TEXT, _INT32, _INT64 = "sc:Text", "cr:Int32", "cr:Int64"
_ROW = (
    ("key", _TEXT, "The path of the image in the source"),
    ("width", _INT32, "The width of the image, in pixels"),
    ("height", _INT32, "The height of the image, in pixels"),
    ("channels", "cr:Int8", "The number of channels of the image"),
    ("format", _TEXT, "The format of the stored image: jpeg, png or raw"),
    ("offset", _INT64, "The position of the record in the shard, in bytes"),
    ("length", _INT64, "The size of the record in the shard, in bytes"),
    ("image_offset", _INT64, "The position of the stored image in the shard, in bytes"),
    ("stored_bytes", _INT64, "The size of the stored image, in bytes"),
    ("source_bytes", _INT64, "The size of the source file, in bytes"),
    ("source_xxh3_128", _TEXT, "The xxh3-128 of the source file"),
    ("group", "cr:UInt64", "The xxh3-64 of the group of the image; 0 if it has none"),
)
_COLUMN_TYPES = {"float32": "cr:Float32", "int64": _INT64, "string": _TEXT}


def make_record_sets(manifest: Manifest) -> list[Json]:
    """Return the record sets `records`, `labels` and `splits`; none of a dataset without shards."""
    if not manifest.splits:
        return []
    return [_records(manifest), _labels(manifest), _splits(manifest)]


def _records(manifest: Manifest) -> Json:
    fields = [_column(name, kind, description) for name, kind, description in _ROW]
    if manifest.settings.is_multi_label:
        labels = _column("labels", _INT32, "The labels of the image, in ascending order")
        fields.append(labels | {"isArray": True, "arrayShape": "-1"})
    else:
        label = _column("label", _INT32, "The label of the image")
        fields.append(label | {"references": _field_of("labels/label")})
    changes = _column("changes", _TEXT, "The changes from the source file to the stored image")
    fields.append(changes | {"isArray": True, "arrayShape": "-1"})
    fields.append(_path("index", "The path of the index that has this row", "(.+)"))
    if manifest.adopted is None:  # the names of adopted files need not contain the split
        # Readers apply it again to its result, when they look up the split.
        pattern = f"(?:.*/)?({'|'.join(SPLITS)})(?:-[^/]*)?"
        split = _path("split", "The split of the image", pattern)
        fields.append(split | {"references": _field_of("splits/name")})
    fields += [_kept_column(column) for column in manifest.settings.columns]
    return _record_set("records", "One record per image", field=fields)


def _labels(manifest: Manifest) -> Json:
    splits = [name for name in SPLITS if name in manifest.splits]
    fields = [
        _field("labels/label", _INT32, "The label, from 0"),
        _field("labels/name", _TEXT, "The class name"),
        *(_field(f"labels/{it}", _INT64, f"The number of images in {it}") for it in splits),
    ]
    data = [
        {"labels/label": label, "labels/name": name}
        | {f"labels/{split}": manifest.splits[split].class_records[label] for split in splits}
        for label, name in enumerate(manifest.labels)
    ]
    return _record_set(
        "labels",
        "One record per class",
        dataType="sc:Enumeration",
        key={"@id": "labels/label"},
        field=fields,
        data=data,
    )


def _splits(manifest: Manifest) -> Json:
    fields = [
        _field("splits/name", _TEXT, "The name of the split"),
        _field("splits/url", "sc:URL", "The purpose of the split"),
        _field("splits/records", _INT64, "The number of images"),
        _field("splits/bytes", _INT64, "The size of the shards, in bytes"),
    ]
    data = [
        {
            "splits/name": name,
            "splits/url": _SPLIT_URLS[name],
            "splits/records": manifest.splits[name].records,
            "splits/bytes": manifest.splits[name].bytes,
        }
        for name in SPLITS
        if name in manifest.splits
    ]
    return _record_set(
        "splits",
        "One record per split",
        dataType="cr:Split",
        key={"@id": "splits/name"},
        field=fields,
        data=data,
    )


def _record_set(name: str, description: str, **properties: Any) -> Json:
    record_set = {"@type": "cr:RecordSet", "@id": name, "name": name, "description": description}
    return record_set | properties


def _field(name: str, kind: str, description: str) -> Json:
    return {
        "@type": "cr:Field",
        "@id": quote(name),
        "name": name,
        "description": description,
        "dataType": kind,
    }


def _column(name: str, kind: str, description: str) -> Json:
    return _field(f"records/{name}", kind, description) | _source({"column": name})


def _path(name: str, description: str, pattern: str) -> Json:
    """Return a field with the group of a pattern that matches the path of the index."""
    source = _source({"fileProperty": "fullpath"}, transform={"regex": f"^{pattern}$"})
    return _field(f"records/{name}", _TEXT, description) | source


def _kept_column(column: Column) -> Json:
    escaped = column.name.replace("\\", "\\\\").replace("'", "\\'")
    source = _source({"column": "columns"}, transform={"jsonPath": f"$.'{escaped}'"})
    kind = _COLUMN_TYPES[column.type]
    return _field(f"records/{column.feature}", kind, "A column of the list of images") | source


def _source(extract: Json, **properties: Json) -> Json:
    return {"source": {"fileSet": {"@id": INDEXES}, "extract": extract, **properties}}


def _field_of(name: str) -> Json:
    return {"field": {"@id": name}}
