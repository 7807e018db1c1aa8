"""Decoded images on disk: a folder with a file a shard, whole or not there at all.

A record is fixed in length, so the files need no framing:

    label, int64 little-endian │ pixels, uint8 height × width × channels

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
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import tensorflow as tf
import xxhash

from records.errors import StorageError, TargetError
from trainers import decoder
from trainers.input import ShardSource, read_in_order
from trainers.selection import Selection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from records.manifest import Shard
    from trainers.config import ImageShape

_LABEL_BYTES = 8
_BATCH_RECORDS = 32
_STAGING = "unfinished-"
_LOCK = "lock"
_FULL = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the disk quota is used up"}


@dataclass(frozen=True)
class CacheSource:
    """Records as a cache holds them."""

    folder: Path
    shape: ImageShape

    def read(self, shard: tf.Tensor) -> tf.data.Dataset:
        """See `RecordSource.read`."""
        path = tf.strings.join([f"{self.folder}/", tf.strings.regex_replace(shard, "/", "-")])
        return tf.data.FixedLengthRecordDataset(path, _LABEL_BYTES + self.shape.size_bytes)

    def decode(self, records: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """See `RecordSource.decode`."""
        content = tf.io.decode_raw(records, tf.uint8)
        labels = tf.io.decode_raw(tf.strings.substr(records, 0, _LABEL_BYTES), tf.int64)
        images = tf.reshape(content[:, _LABEL_BYTES:], (-1, *self.shape.array_shape))
        return images, tf.reshape(labels, (-1,))

    def record_bytes(self, _selection: Selection) -> int:
        """See `RecordSource.record_bytes`."""
        return _LABEL_BYTES + self.shape.size_bytes


def cache_folder() -> Path:
    """Where caches lie: `shardmill/decoded` below `$XDG_CACHE_HOME`, or below `~/.cache`."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "shardmill" / "decoded"


def keep_on_disk(
    source: ShardSource, *selections: Selection, below: Path, say: Callable[[str], None]
) -> CacheSource:
    """The cache of the selections' shards; they are all decoded now unless it is there already.

    Args:
        source: the shards.
        selections: whose shards to cache, whole, each once.
        below: the folder that holds caches.
        say: told what takes time.

    Raises:
        TargetError: the cache cannot be written.
        tf.errors.OpError: a record is damaged.
    """
    shards = {shard: part.split for part in selections for shard in part.shards}
    folder = below / cache_key(source, tuple(shards))
    cache = CacheSource(folder, source.shape)
    if folder.is_dir():
        say(f"decoded images are kept in {folder}")
        return cache
    size_bytes = cache.record_bytes(selections[0]) * sum(shard.records for shard in shards)
    say(f"keeping decoded images ({size_bytes / 1e6:,.0f} MB) in {folder}")
    with _writing(below):
        below.mkdir(parents=True, exist_ok=True)
        remove_leftovers(below)
        _check_space(below, size_bytes)
        with _staging(below) as staged:
            for shard, split in shards.items():
                _write_shard(source, Selection(split, split, (shard,)), staged)
            _publish(staged, folder)
    return cache


def cache_key(source: ShardSource, shards: tuple[Shard, ...]) -> str:
    """The name of the cache of some shards, 32 hexadecimal digits."""
    content = (decoder.VERSION, source.options, source.shape, shards)
    return xxhash.xxh3_128_hexdigest(msgspec.json.encode(content, order="sorted"))


def remove_leftovers(below: Path) -> None:
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


def _write_shard(source: ShardSource, shard: Selection, folder: Path) -> None:
    path = folder / shard.shards[0].name.replace("/", "-")
    with path.open("wb") as file:
        for images, labels in read_in_order(source, shard, _BATCH_RECORDS).as_numpy_iterator():
            label_bytes = labels.astype("<i8").view(np.uint8).reshape(-1, _LABEL_BYTES)
            pixels = images.reshape(len(images), -1)
            file.write(np.concatenate([label_bytes, pixels], axis=1).tobytes())
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


def _check_space(below: Path, size_bytes: int) -> None:
    free_bytes = shutil.disk_usage(below).free
    if free_bytes < size_bytes:
        raise TargetError(
            "the decoded images do not fit on this disk",
            path=str(below),
            expected=f"{size_bytes / 1e6:,.0f} MB free",
            got=f"{free_bytes / 1e6:,.0f} MB",
            hint="choose another place by XDG_CACHE_HOME, or leave out --cache disk",
        )


@contextmanager
def _writing(below: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = _FULL.get(error.errno or 0)
        kind = TargetError if reason or isinstance(error, PermissionError) else StorageError
        raise kind(
            "the cache of decoded images cannot be written",
            path=str(below),
            got=reason or error.strerror,
            hint="choose another place by XDG_CACHE_HOME, or leave out --cache disk",
        ) from error
