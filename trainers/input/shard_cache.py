"""Copies of shards in a local folder of limited size.

The processes of a machine share the folder. A run reads every shard once per epoch. If the dataset
is at a URL, a run with this cache downloads each shard once, as long as all shards fit into the
limit. Otherwise the copies that were used least recently are removed.

The file name of a copy is the hash of its content, so that datasets share equal shards. A copy is
complete or absent: a download has another name until its hash is verified. A process locks the file
that it downloads, and the copies that it reads. If a file is not locked, no live process needs it.
"""

from __future__ import annotations

import fcntl
import os
import resource
import time
from collections import deque
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

import xxhash

from records.errors import CorruptDataError, OutputError, ShardmillError, UsageError
from records.format.shard import missing_as_corrupt
from records.storage.atomic import fsync, is_same_file, open_locked
from records.storage.base import COPY_STEP_BYTES, hash_stream
from records.storage.local import RandomAccessFile
from trainers.cache_dir import cache_dir, writing_cache

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from records.format.manifest import ShardInfo
    from records.storage import Storage

_MAX_LOCKED_COPIES = 64
"""More than the shards that an input pipeline has requested and not opened yet."""
_MIN_LOCKED_COPIES = 32  # those of one interleave: without them, a run would fail
_POLL_SECONDS = 0.1
_STALLED_SECONDS = 60.0
_COPY, _DOWNLOAD, _LOCK = ".tfrecord", ".part", "lock"


def open_shard_cache(
    storage: Storage,
    shards: Iterable[ShardInfo],
    *,
    limit_gb: float,
    on_message: Callable[[str], None],
) -> ShardCache:
    """Return the cache of some shards: `shardmill/shards` in `$XDG_CACHE_HOME` or `~/.cache`.

    Raises:
        UsageError: a shard is larger than the limit.
        OutputError: there is no folder for caches.
    """
    shards = tuple(shards)
    check_limit(shards, limit_gb)
    return ShardCache(
        storage,
        shards,
        folder=cache_dir("shards"),
        limit_bytes=int(limit_gb * 1e9),
        on_message=on_message,
    )


def check_limit(shards: Iterable[ShardInfo], limit_gb: float) -> None:
    """Raise UsageError if one of the shards is larger than the cache."""
    largest = max((shard.bytes for shard in shards), default=0)
    if largest > limit_gb * 1e9:
        raise UsageError(
            "a shard is larger than the cache of shards",
            expected=f"a limit of at least {largest / 1e9:.3g} GB",
            got=f"{limit_gb:g} GB",
            hint="increase --cache-limit-gb",
        )


class _BusyError(Exception):
    """Another process uses a damaged copy, or its download does not make progress."""


class ShardCache:
    """The local copies of the shards of a dataset; any thread may use it.

    Args:
        storage: the dataset.
        shards: the shards to copy.
        folder: the folder of the copies of all datasets.
        limit_bytes: the maximum size of all copies. A copy that a live process reads is not
            removed, even if the limit is exceeded.
        on_message: a function that is called with a line for each shard that cannot be copied.
    """

    def __init__(
        self,
        storage: Storage,
        shards: Iterable[ShardInfo],
        *,
        folder: Path,
        limit_bytes: int,
        on_message: Callable[[str], None],
    ) -> None:
        self.folder = folder
        self._storage, self._limit_bytes = storage, limit_bytes
        self._shards = {shard.name: shard for shard in shards}
        self._on_message = on_message
        self._verified: set[str] = set()
        self._failed: set[str] = set()

    def find(self, name: str) -> Path | None:
        """Return the copy of a shard; download the shard if it has no copy.

        The copy exists at least until this process has found 64 more copies, or 32 if it may open
        only 128 files.

        Returns:
            The path of the copy; None if the shard cannot be copied now. The caller then reads the
            shard of the dataset.
        """
        shard = self._shards[name]
        path = self.folder / (shard.xxh3_128 + _COPY)
        if name in self._failed:
            return None
        try:
            with writing_cache(self.folder, "the cache of shards"):
                while not self._use(path, shard):
                    self._download(shard, path)
        except _BusyError:
            return None
        except ShardmillError as error:
            self._failed.add(name)
            self._on_message(f"a shard is not cached: {error}")
            return None
        return path

    def _use(self, path: Path, shard: ShardInfo) -> bool:
        """Lock a copy, so that no process removes it. Returns False if there is no valid copy."""
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError:
            return False
        copy = RandomAccessFile(descriptor, str(path))
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        if not is_same_file(descriptor, path):  # another process has removed it meanwhile
            return False
        if shard.name not in self._verified:
            with open(descriptor, "rb", closefd=False) as stream:
                is_valid = hash_stream(stream) == shard.xxh3_128
            if not is_valid:
                del copy  # releases the lock, so that one of the processes can remove the file
                if not _remove_unless_locked(path):
                    raise _BusyError
                return False
            self._verified.add(shard.name)
        with suppress(OSError):  # a file of another user
            os.utime(descriptor)
        _keep_locked(copy)
        return True

    def _download(self, shard: ShardInfo, path: Path) -> None:
        """Copy a shard to `path`, or wait for a while if another thread or process does it."""
        part = path.with_suffix(_DOWNLOAD)
        try:
            descriptor = open_locked(part, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW)
        except BlockingIOError:
            time.sleep(_POLL_SECONDS)
            with suppress(FileNotFoundError):
                if time.time() - part.stat().st_mtime > _STALLED_SECONDS:
                    raise _BusyError from None
            return
        try:
            if os.path.lexists(path):
                part.unlink()
                return
            self._reserve(descriptor, shard.bytes)
            self._fill(descriptor, shard)
            part.rename(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        finally:
            os.close(descriptor)
        fsync(self.folder)

    def _fill(self, descriptor: int, shard: ShardInfo) -> None:
        digest, left_bytes = xxhash.xxh3_128(), shard.bytes + 1
        with (
            missing_as_corrupt(self._storage, shard.name),
            self._storage.open(shard.name) as source,
            open(descriptor, "wb", closefd=False) as copy,
        ):
            while block := source.read(min(COPY_STEP_BYTES, left_bytes)):
                left_bytes -= len(block)
                digest.update(block)
                copy.write(block)
        if digest.hexdigest() != shard.xxh3_128:
            raise CorruptDataError(
                "the shard differs from the manifest", path=self._storage.display_name(shard.name)
            )
        os.fsync(descriptor)

    def _reserve(self, descriptor: int, size_bytes: int) -> None:
        """Remove copies until a new file fits into the limit, and give the file its size."""
        with _wait_for_lock(self.folder / _LOCK):
            os.ftruncate(descriptor, 0)
            files = sorted(_list_files(self.folder))
            used_bytes = sum(file.size_bytes for file in files)
            for file in files:
                if used_bytes + size_bytes <= self._limit_bytes:
                    break
                if _remove_unless_locked(file.path):
                    used_bytes -= file.size_bytes
            os.ftruncate(descriptor, size_bytes)


class _File(NamedTuple):
    used_ns: int
    size_bytes: int
    path: Path


def _list_files(folder: Path) -> Iterator[_File]:
    for path in folder.iterdir():
        if path.suffix in {_COPY, _DOWNLOAD}:
            with suppress(FileNotFoundError):  # another process has removed or renamed it
                status = path.lstat()
                yield _File(status.st_mtime_ns, status.st_size, path)


_in_use: deque[RandomAccessFile] = deque()
"""The copies that this process found last. TensorFlow does not report when it has opened a copy."""


def _keep_locked(copy: RandomAccessFile) -> None:
    _in_use.append(copy)
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = _MAX_LOCKED_COPIES
    if files != resource.RLIM_INFINITY:
        limit = min(limit, max(_MIN_LOCKED_COPIES, files // 4))
    with suppress(IndexError):  # another thread removes the oldest, too
        while len(_in_use) > limit:
            _in_use.popleft()


def _remove_unless_locked(path: Path) -> bool:
    with suppress(OSError):
        descriptor = open_locked(path, os.O_RDWR | os.O_NOFOLLOW)
        try:
            path.unlink()
        finally:
            os.close(descriptor)
        return True
    return False


@contextmanager
def _wait_for_lock(path: Path) -> Iterator[None]:
    end = time.monotonic() + _STALLED_SECONDS
    while True:
        with suppress(BlockingIOError):
            descriptor = open_locked(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW)
            break
        if time.monotonic() > end:
            raise OutputError(
                "another process holds the lock of the cache of shards", path=str(path)
            )
        time.sleep(_POLL_SECONDS)
    try:
        yield
    finally:
        os.close(descriptor)
