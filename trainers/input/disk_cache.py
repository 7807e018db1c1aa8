"""Cache of decoded images on disk: one file per shard.

The name of the cache folder is the hash of everything that its content depends on: the hashes of
the shards, the image options of the dataset, the shape of the decoded images, and the versions of
the decoder and the file format. `records.storage.atomic.atomic_folder` makes the folder visible
when it is complete. The next process that writes a cache removes what killed processes left.
"""

from __future__ import annotations

import errno
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import xxhash

from records.storage.atomic import atomic_folder, remove_unfinished
from trainers.cache_dir import HINT, cache_dir, writing_cache
from trainers.input import tensor_files
from trainers.input.pipeline import ShardSource, ordered_batches
from trainers.input.selection import Selection
from trainers.input.tensor_files import (
    ArrayFormat,
    ArraySource,
    array_name,
    check_space,
    write_arrays,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from records.format.manifest import ShardInfo

_BATCH_RECORDS = 32


def cache_folder() -> Path:
    """Return the folder of all caches: `shardmill/decoded` in `$XDG_CACHE_HOME` or `~/.cache`."""
    return cache_dir("decoded")


def build_disk_cache(
    source: ShardSource, *selections: Selection, below: Path, on_message: Callable[[str], None]
) -> ArraySource:
    """Return the cache of the shards of some selections; write the cache unless it exists.

    Args:
        source: the source of the encoded images.
        selections: the selections whose shards are cached, each shard completely and once.
        below: the folder that contains all caches.
        on_message: a function that is called with a line before each long operation.

    Raises:
        OutputError: the cache cannot be written.
        tf.errors.OpError: a record is damaged.
    """
    shards = {shard: part.split for part in selections for shard in part.shards}
    folder = below / cache_key(source, tuple(shards))
    cache = ArraySource(folder, pixel_format(source))
    if folder.is_dir():
        on_message(f"decoded images are kept in {folder}")
        return cache
    size_bytes = sum(cache.format.file_bytes(shard.records) for shard in shards)
    on_message(f"keeping decoded images ({size_bytes / 1e6:,.0f} MB) in {folder}")
    with writing_cache(below, "the cache of decoded images"):
        remove_unfinished(below)
        check_space(below, size_bytes, what="decoded images", hint=HINT)
        try:
            with atomic_folder(folder) as staged:
                for shard, split in shards.items():
                    write_cache_shard(
                        source, Selection(split, split, (shard,)), staged, folder.name
                    )
        except OSError as error:
            # Another process has written the same cache in the meantime.
            if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                raise
    return cache


def pixel_format(source: ShardSource) -> ArrayFormat:
    """Return the file format of the decoded images of a source."""
    return ArrayFormat("uint8", source.shape.array_shape, source.parser.multi_hot)


def cache_key(source: ShardSource, shards: tuple[ShardInfo, ...]) -> str:
    """Return the name of the cache of some shards, 32 hexadecimal digits."""
    versions = (tensor_files.FORMAT_VERSION, source.decoder)
    # The same shards have longer labels after new classes were appended to the dataset.
    multi_hot = (source.parser.multi_hot,) * source.parser.multi_label
    content = (*versions, source.options, source.shape, shards, *multi_hot)
    return xxhash.xxh3_128_hexdigest(msgspec.json.encode(content, order="sorted"))


def write_cache_shard(source: ShardSource, shard: Selection, folder: Path, key: str) -> None:
    """Write the decoded images and labels of one shard to its file in `folder`."""
    with (folder / array_name(shard.shards[0].name)).open("wb") as file:
        batches = ordered_batches(source, shard, _BATCH_RECORDS).as_numpy_iterator()
        write_arrays(file, pixel_format(source), key, batches)
