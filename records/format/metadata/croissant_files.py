"""Files of a dataset in its Croissant metadata: `distribution`.

File sets have patterns instead of names, so the metadata of many shards stays small. A file set
does not match the shards that a later generation replaced: these files may still exist.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from records.format.layout import index_name
from records.format.metadata.name_patterns import glob_patterns

if TYPE_CHECKING:
    from collections.abc import Iterable

    from records.format.manifest import Manifest, ShardInfo

Json = dict[str, Any]

INDEXES = "indexes"
SHARDS = "shards"
MAX_LISTED_FILES = 1000
"""A dataset with more shards and indexes lists no files: the manifest has their hashes."""
_PARQUET = "application/x-parquet"
_TFRECORD = "application/x-tfrecord"


def make_distribution(manifest: Manifest) -> list[Json]:
    """Return the file sets of a dataset; of a small dataset also each shard and each index."""
    shards = [shard for info in manifest.splits.values() for shard in info.shards]
    if not shards:
        return []  # a file set needs a pattern
    names = [shard.name for shard in shards]
    sets = [
        _file_set(INDEXES, "One row per record, for each shard", map(index_name, names), _PARQUET),
        _file_set(SHARDS, "Records: one tf.train.Example per image", names, _TFRECORD),
    ]
    return sets if 2 * len(shards) > MAX_LISTED_FILES else sets + _file_objects(shards)


def _file_set(name: str, description: str, files: Iterable[str], encoding: str) -> Json:
    return {
        "@type": "cr:FileSet",
        "@id": name,
        "name": name,
        "description": description,
        "encodingFormat": encoding,
        "includes": glob_patterns(files),
    }


def _file_objects(shards: Iterable[ShardInfo]) -> list[Json]:
    objects = []
    for shard in sorted(shards, key=lambda shard: shard.name):
        index = shard.index
        objects += [
            _file_object(index_name(shard.name), index.bytes, index.sha256, _PARQUET),
            _file_object(shard.name, shard.bytes, shard.sha256, _TFRECORD),
        ]
    return objects


def _file_object(name: str, size_bytes: int, sha256: str, encoding: str) -> Json:
    return {
        "@type": "cr:FileObject",
        "@id": f"files/{quote(name)}",  # an adopted file may have the name of a record set
        "name": name,
        "contentUrl": name,
        "contentSize": f"{size_bytes} B",
        "encodingFormat": encoding,
        "sha256": sha256,
    }
