"""Indexes that runs have written, known by the records of their shards."""

from __future__ import annotations

from records.errors import CorruptDataError
from records.format.index import decode_index_file
from records.format.layout import index_name
from records.storage import Storage
from records.storage.ownership import is_own, is_recorded_with, remove_own


def is_own_index(storage: Storage, shard: str) -> bool:
    """Return whether the index of a shard exists, and has the bytes that a run wrote.

    The record of a shard, which has its hash in the name, also has the hash of the index. The index
    contains the hash of its shard.

    Raises:
        StorageError: storage failed after retries.
    """
    name = index_name(shard)
    try:
        content = storage.read(name)
        summary = decode_index_file(content, path=storage.display_name(name)).summary
    except FileNotFoundError:
        return False
    except CorruptDataError:
        return is_own(storage, name)
    # Earlier versions recorded each index like any other file.
    is_known = is_recorded_with(storage, shard, summary.xxh3_128, name, content)
    return is_known or is_own(storage, name)


def remove_index(storage: Storage, shard: str) -> None:
    """Remove the index of a shard if it exists.

    Raises:
        OutputError: the file belongs to the user.
        StorageError: storage failed after retries.
    """
    if is_own_index(storage, shard):
        storage.remove(index_name(shard))
    else:
        remove_own(storage, index_name(shard))  # raises the error
