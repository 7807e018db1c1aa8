"""Damaged files of a dataset, found by their sizes and hashes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Literal

from pipelines.repair.listed import ListedFiles, is_derived
from records.errors import CorruptDataError, StorageError
from records.format.digest import FileDigest, digest_of, digest_stream
from records.format.layout import index_name
from records.format.manifest import ShardInfo
from records.format.shard import hash_file
from records.runtime.cpu import available_cpus
from records.runtime.parallel_map import IO_THREADS, parallel_map
from records.storage import Storage
from records.storage.ownership import is_own

DamageKind = Literal["missing", "size", "content", "unreadable"]
Damage = Mapping[str, DamageKind]
"""The damaged files by name."""


@contextmanager
def ignoring_damage(storage: Storage) -> Iterator[None]:
    """Ignore that a file is missing or damaged; a local file that cannot be read is damaged, too.

    Raises:
        StorageError: a store failed after retries.
    """
    try:
        yield
    except (FileNotFoundError, CorruptDataError):
        pass
    except StorageError:
        if not storage.is_local:
            raise


def find_damage(
    storage: Storage,
    listed: ListedFiles,
    names: Iterable[str] | None = None,
    on_bytes: Callable[[int], object] = lambda _: None,
) -> Damage:
    """Compare files with their sizes and digests; a file of another size is not read.

    Args:
        storage: the dataset.
        listed: the files that it must have.
        names: the files to check; all by default.
        on_bytes: a callback that receives the listed size of each file that was checked, in bytes.

    Raises:
        StorageError: a store failed after retries. A local file that cannot be read is damaged.
    """
    expected = expected_digests(listed)
    wanted = [name for name in (expected if names is None else names) if name in expected]

    def check(name: str) -> DamageKind | None:
        return _check(storage, name, expected[name])

    found: dict[str, DamageKind] = dict.fromkeys(listed.damaged, "content")
    threads = available_cpus() if storage.is_local else IO_THREADS
    for name, kind in zip(wanted, parallel_map(check, wanted, threads=threads), strict=True):
        on_bytes(expected[name].bytes)
        if kind is not None:
            found[name] = kind
    return dict(sorted(found.items()))


def expected_digests(listed: ListedFiles) -> dict[str, ShardInfo | FileDigest]:
    """Return the size and hash of each file: of shards, indexes, lists and derived files."""
    shards = {name: shard.info for name, shard in listed.shards.items()}
    return {
        **shards,
        **{index_name(name): info.index for name, info in shards.items()},
        **listed.lists,
        **{name: digest_of(content) for name, content in listed.derived.items()},
    }


def _check(storage: Storage, name: str, expected: ShardInfo | FileDigest) -> DamageKind | None:
    try:
        present = storage.stat(name)
        if present is None:
            return "missing"
        kind = _compare(storage, name, present.size_bytes, expected)
        # A run that is not finished may have replaced the file.
        return None if kind and is_derived(name) and is_own(storage, name) else kind
    except FileNotFoundError:
        return "missing"
    except CorruptDataError:  # a link that leads out of the folder
        return "unreadable"
    except StorageError:
        if not storage.is_local:
            raise
        return "unreadable"


def _compare(
    storage: Storage, name: str, size_bytes: int, expected: ShardInfo | FileDigest
) -> DamageKind | None:
    if size_bytes != expected.bytes:
        return "size"
    if isinstance(expected, ShardInfo):
        is_equal = hash_file(storage, name) == expected.xxh3_128
    else:
        with storage.open(name) as stream:
            is_equal = digest_stream(stream) == expected
    return None if is_equal else "content"
