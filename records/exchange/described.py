"""Manifest whose shards are the files of an export.

The card and the metadata of TFDS follow from a manifest. So those of an export follow from this
one, by the same functions. It is never written.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from records.format.digest import FileDigest, Sha256
from records.format.layout import SplitName
from records.format.manifest import Count, ShardInfo

if TYPE_CHECKING:
    from records.format.manifest import Manifest

_UNKNOWN = FileDigest(bytes=0, sha256="")


class ExportedFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file of an export.

    Attributes:
        name: its path in the folder of the export.
        split: the split of its images.
        records: the number of its images.
        bytes: its size.
        sha256: its SHA-256, as 64 hexadecimal digits.
    """

    name: str
    split: SplitName
    records: Count
    bytes: Count
    sha256: Sha256


def describe_files(manifest: Manifest, files: Sequence[ExportedFile]) -> Manifest:
    """Return the manifest of a dataset with other files as its shards.

    A split without files is left out. The images are JPEG or PNG files: exports have no raw images.
    """
    splits = {}
    for name, info in manifest.splits.items():
        shards = tuple(_shard(file) for file in files if file.split == name)
        if shards:
            size_bytes = sum(shard.bytes for shard in shards)
            splits[name] = msgspec.structs.replace(info, bytes=size_bytes, shards=shards)
    images = manifest.settings.images
    if images.store in {"raw", "mixed"}:
        store = "png" if images.store == "raw" else "source"
        images = msgspec.structs.replace(images, store=store, raw_share=msgspec.UNSET)
    settings = msgspec.structs.replace(manifest.settings, images=images)
    return msgspec.structs.replace(manifest, splits=splits, settings=settings, adopted=None)


def _shard(file: ExportedFile) -> ShardInfo:
    return ShardInfo(
        file.name, file.records, file.bytes, xxh3_128="", sha256=file.sha256, index=_UNKNOWN
    )
