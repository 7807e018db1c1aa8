"""Decoded images on disk: a folder with a file of arrays a shard, whole or not there at all.

The folder's name is the hash of all that its content follows from: the shards' own hashes, the
options they were stored by, the shape, the decoder. It is filled under a temporary name and renamed
when it is whole and fsynced; a process holds a lock on what it is filling, so that the next one can
tell what a kill left behind, and removes it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import xxhash

from records.errors import OutputError, StorageError
from trainers.input import decode, tensor_files
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
    from collections.abc import Callable, Iterator

    from records.format.manifest import ShardInfo
    from trainers.config import ImageShape

_BATCH_RECORDS = 32
_STAGING = "unfinished-"
_LOCK = "lock"
_FULL = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the disk quota is used up"}
_HINT = "choose another place by XDG_CACHE_HOME, or leave out --cache disk"


def cache_folder() -> Path:
    """Where caches lie: `shardmill/decoded` below `$XDG_CACHE_HOME`, or below `~/.cache`."""
    return tensor_files.cache_dir("decoded")


def build_disk_cache(
    source: ShardSource, *selections: Selection, below: Path, say: Callable[[str], None]
) -> ArraySource:
    """The cache of the selections' shards; they are all decoded now unless it is there already.

    Args:
        source: the shards.
        selections: whose shards to cache, whole, each once.
        below: the folder that holds caches.
        say: told what takes time.

    Raises:
        OutputError: the cache cannot be written.
        tf.errors.OpError: a record is damaged.
    """
    shards = {shard: part.split for part in selections for shard in part.shards}
    folder = below / cache_key(source, tuple(shards))
    cache = ArraySource(folder, pixel_format(source.shape))
    if folder.is_dir():
        say(f"decoded images are kept in {folder}")
        return cache
    size_bytes = sum(cache.format.file_bytes(shard.records) for shard in shards)
    say(f"keeping decoded images ({size_bytes / 1e6:,.0f} MB) in {folder}")
    with _writing(below):
        below.mkdir(parents=True, exist_ok=True)
        remove_stale(below)
        check_space(below, size_bytes, what="decoded images", hint=_HINT)
        with _staging(below) as staged:
            for shard, split in shards.items():
                _write_shard(source, Selection(split, split, (shard,)), staged, folder.name)
            _publish(staged, folder)
    return cache


def pixel_format(shape: ImageShape) -> ArrayFormat:
    """How decoded images of a shape are kept."""
    return ArrayFormat("uint8", shape.array_shape)


def cache_key(source: ShardSource, shards: tuple[ShardInfo, ...]) -> str:
    """The name of the cache of some shards, 32 hexadecimal digits."""
    versions = (tensor_files.FORMAT_VERSION, decode.VERSION)
    content = (*versions, source.options, source.shape, shards)
    return xxhash.xxh3_128_hexdigest(msgspec.json.encode(content, order="sorted"))


def remove_stale(below: Path) -> None:
    """Remove what killed processes were filling: what nobody holds a lock on."""
    for folder in below.glob(f"{_STAGING}*"):
        with suppress(OSError), (folder / _LOCK).open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder)


@contextmanager
def _staging(below: Path) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix=_STAGING, dir=below))
    try:
        with (folder / _LOCK).open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write_shard(source: ShardSource, shard: Selection, folder: Path, key: str) -> None:
    with (folder / array_name(shard.shards[0].name)).open("wb") as file:
        batches = ordered_batches(source, shard, _BATCH_RECORDS).as_numpy_iterator()
        write_arrays(file, pixel_format(source.shape), key, batches)
        file.flush()
        os.fsync(file.fileno())


def _publish(staged: Path, folder: Path) -> None:
    (staged / _LOCK).unlink()
    try:
        staged.rename(folder)
    except OSError as error:
        # Another process was faster: what it made is the same.
        if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
            raise


@contextmanager
def _writing(below: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = _FULL.get(error.errno or 0)
        kind = OutputError if reason or isinstance(error, PermissionError) else StorageError
        raise kind(
            "the cache of decoded images cannot be written",
            path=str(below),
            got=reason or error.strerror,
            hint=_HINT,
        ) from error
