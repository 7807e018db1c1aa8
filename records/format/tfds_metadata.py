"""Metadata for TensorFlow Datasets (TFDS): `dataset_info.json` and `features.json`.

    builder = tfds.builder_from_directory("data")
    builder.as_dataset(split="train", as_supervised=True)

Both files are TFDS messages in the JSON format of protobuf (64-bit integers as strings). Features
are not nested, because TFDS searches only the top level for images to show and for the pair of
`as_supervised`. TFDS writes class names to a third file; shardmill writes them to `features.json`.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Literal

from records.format import schema
from records.format.layout import SPLITS, TFDS_FEATURES, TFDS_INFO, parse_shard_name
from records.format.schema import DEFAULT_FEATURES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from records.format.image_options import ImageOptions
    from records.format.manifest import ExternalFormat, Manifest, ShardInfo

NAME = "shardmill"
VERSION = "1.0.0"
_FILE_TEMPLATE = "{SPLIT}-{SHARD_X_OF_Y}."
_NUMBERED = re.compile(r"(.*?)(\d{5})-of-(\d{5})(.*)")
_MODULE = "tensorflow_datasets.core.features"

Json = dict[str, Any]
FileFormat = Literal["tfrecord", "array_record"]
"""The formats of files with Examples, as TFDS names them."""


def tfds_files(
    manifest: Manifest, *, folder: str = "", file_format: FileFormat = "tfrecord"
) -> dict[str, bytes]:
    """Return the contents of the files that TFDS needs to read a dataset folder, by file name.

    The result is empty for adopted files that TFDS cannot read: if their names have no shard
    numbers in the format of TFDS, if the labels do not begin at 0 or are only names, or if records
    are excluded from the dataset. The result is also empty if TFDS files existed before `adopt`.

    Args:
        manifest: the manifest of the dataset.
        folder: the folder of the shards, such as `generations/0002`; `""` is the dataset folder,
            with the shards of the first generation.
        file_format: the format of the files that have the records of the shards; it is also their
            extension.
    """
    if manifest.adopted is not None and not _can_describe(manifest, manifest.adopted):
        return {}
    return {
        TFDS_INFO: _encode(_dataset_info(manifest, folder, file_format)),
        TFDS_FEATURES: _encode(_features(manifest)),
    }


def _encode(value: Json) -> bytes:
    return (json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True) + "\n").encode()


def _dataset_info(manifest: Manifest, folder: str, file_format: FileFormat) -> Json:
    splits = []
    for name in SPLITS:
        info = manifest.splits.get(name)
        shards = [shard for shard in info.shards if _folder(shard) == folder] if info else []
        if shards:
            own_template = _FILE_TEMPLATE + file_format
            template = own_template if manifest.adopted is None else _template(shards)
            splits.append(_split(name, shards, template, manifest))
    names = DEFAULT_FEATURES if manifest.adopted is None else manifest.adopted.features
    return {
        "name": NAME,
        "version": VERSION,
        "fileFormat": file_format,
        "splits": splits,
        "supervisedKeys": {
            "tuple": {"items": [{"featureKey": key} for key in (names.image, names.label)]}
        },
    }


def _folder(shard: ShardInfo) -> str:
    return shard.name.rpartition("/")[0]


def _can_describe(manifest: Manifest, adopted: ExternalFormat) -> bool:
    splits = manifest.splits.values()
    return (
        not {TFDS_INFO, TFDS_FEATURES} & set(adopted.preexisting)
        and adopted.features.label is not None
        and adopted.first_label == 0
        and not any(shard.excluded_records for info in splits for shard in info.shards)
        and all(_template(info.shards) is not None for info in splits)
    )


def _template(shards: Sequence[ShardInfo]) -> str | None:
    """Return the TFDS template of the names of these shards; None if no template fits all."""
    templates = set()
    for number, shard in enumerate(shards):
        match = _NUMBERED.fullmatch(shard.name)
        if match is None or (int(match[2]), int(match[3])) != (number, len(shards)):
            return None
        templates.add(f"{match[1]}{{SHARD_X_OF_Y}}{match[4]}")
    return templates.pop() if len(templates) == 1 else None


def _split(name: str, shards: list[ShardInfo], template: str | None, manifest: Manifest) -> Json:
    return {
        "name": name,
        "filepathTemplate": template,
        "shardLengths": list(map(str, _shard_lengths(shards, manifest))),
        "numBytes": str(sum(shard.bytes for shard in shards)),
    }


def _shard_lengths(shards: list[ShardInfo], manifest: Manifest) -> list[int]:
    """Return the number of records of each shard that the split of a generation was written with.

    TFDS takes the names of the shards from their number, and skips a shard without records: the
    length of a shard that a later generation replaced is 0.
    """
    if manifest.adopted is not None:
        return [shard.records for shard in shards]
    names = [parse_shard_name(shard.name) for shard in shards]
    lengths = [0] * max(name.of for name in names if name is not None)
    for shard, name in zip(shards, names, strict=True):
        if name is not None:  # the manifest was validated
            lengths[name.number] = shard.records
    return lengths


def _features(manifest: Manifest) -> Json:
    if manifest.adopted is not None:
        names = manifest.adopted.features
        features = {
            names.image: _image(manifest.settings.images),
            str(names.label): _class_label(manifest.labels),
        }
        return _feature("features_dict.FeaturesDict", featuresDict={"features": features})
    features = {
        schema.ENCODED: _image(manifest.settings.images),
        schema.FORMAT: _text(),
        schema.HEIGHT: _scalar(),
        schema.WIDTH: _scalar(),
        schema.CHANNELS: _scalar(),
        schema.LABEL: _per_label(_class_label(manifest.labels), manifest),
        schema.TEXT: _per_label(_text(), manifest),
        schema.FILENAME: _bytes(),
    }
    for column in manifest.settings.columns:
        is_text = column.type == "string"
        features[column.feature] = _text() if is_text else _scalar(column.type)
    return _feature("features_dict.FeaturesDict", featuresDict={"features": features})


def _image(options: ImageOptions) -> Json:
    if options.store in {"raw", "mixed"}:  # TFDS would try to decode the samples
        return _bytes()
    width_px, height_px = options.resize or (-1, -1)
    dimensions = [str(size) for size in (height_px, width_px, options.channels)]
    return _feature(
        "image_feature.Image", image={"dtype": "uint8", "shape": {"dimensions": dimensions}}
    )


def _per_label(feature: Json, manifest: Manifest) -> Json:
    """Return a feature with one value per label."""
    if not manifest.settings.is_multi_label:
        return feature
    return _feature("sequence_feature.Sequence", sequence={"feature": feature, "length": "-1"})


def _class_label(names: tuple[str, ...]) -> Json:
    content = json.dumps({"names": names}, ensure_ascii=False)
    return _feature("class_label_feature.ClassLabel", jsonFeature={"json": content})


def _text() -> Json:
    return _feature("text_feature.Text", text={})


def _bytes() -> Json:
    return _feature("tensor_feature.Tensor", tensor=_tensor("string"))


def _scalar(dtype: str = "int64") -> Json:
    return _feature("scalar.Scalar", tensor=_tensor(dtype))


def _tensor(dtype: str) -> Json:
    return {"dtype": dtype, "encoding": "none", "shape": {}}


def _feature(kind: str, **content: Json) -> Json:
    return {"pythonClassName": f"{_MODULE}.{kind}", **content}
