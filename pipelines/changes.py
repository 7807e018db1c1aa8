"""Files rewritten in place: a modification time that moved at equal size is looked into by hash.

A plan knows a file by its key and size. Where the stamp of all modification times (or ETags) is not
the one that was kept, every source file is hashed again and compared with what the index says.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import xxhash

from pipelines.plan import PlannedImage, PlannedShard
from pipelines.source_files import SourceFiles, UnreadableError, read_file
from records.errors import DamagedError
from records.index import read_index
from records.layout import index_name
from records.storage import Storage
from records.text import key_to_text


def changed_shards(
    target: Storage, shards: Iterable[PlannedShard], files: SourceFiles, *, threads: int
) -> Iterator[tuple[PlannedShard, str]]:
    """Finished shards that hold other bytes than their sources now do, each with the first key."""
    with ThreadPoolExecutor(threads) as pool:
        for shard in shards:
            stored = _stored_hashes(target, shard.name)
            images = shard.images
            hashes = pool.map(lambda image: _hash(image, files), images, chunksize=32)
            for image, now in zip(images, hashes, strict=True):
                key = key_to_text(image.key)
                if stored is not None and key in stored and stored[key] != now:
                    yield shard, key
                    break


def _stored_hashes(target: Storage, name: str) -> dict[str, str] | None:
    """Source hashes by key, None where the shard has no index: it is not finished."""
    try:
        table = read_index(target, index_name(name)).table
    except (FileNotFoundError, DamagedError):
        return None
    return dict(zip(table["key"].to_pylist(), table["source_xxh3_128"].to_pylist(), strict=True))


def _hash(image: PlannedImage, files: SourceFiles) -> str:
    try:
        data = read_file(files, image.key, image.url)
    except UnreadableError:
        return ""
    return str(xxhash.xxh3_128_hexdigest(data))
