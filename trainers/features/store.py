"""A feature store: a folder with a file of features a shard of a dataset, and `features.json`.

    train-00000-of-00008.arrays …   see `trainers.input.tensor_files`
    features.json                   see `trainers.features.manifest`; written last
    .shardmill/                     of an unfinished store: its key, staged files

Every file appears whole or not at all and tells by its hash what it is of, so what was killed goes
on with the shards that are missing. One process at a time fills a store.
"""

from __future__ import annotations

import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np

from records.errors import CorruptDataError, LockedError, StorageError, UsageError
from records.storage.local import LocalStorage
from trainers.content_addressed_dir import ContentAddressedDir
from trainers.features.manifest import (
    FORMAT_VERSION,
    MANIFEST,
    FeatureManifest,
    FeatureSpec,
    encode_manifest,
    file_identity,
    store_key,
)
from trainers.input.tensor_files import array_name, check_space, is_intact, write_arrays

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

    from records.format.manifest import ShardInfo
    from records.storage import Storage
    from trainers.input.tensor_files import ArraySource

_ANOTHER = "a feature store of another dataset, model or weights"
_WAIT_SECONDS = 1.0

FeatureBatch = tuple["NDArray[np.float32]", "NDArray[np.int64]"]
"""Features (batch, features) and labels (batch,)."""


class FeatureRangeError(UsageError):
    """A feature is too large for float16."""


@dataclass(frozen=True)
class FeatureStore:
    """The features of some shards, there or to be made."""

    storage: Storage
    spec: FeatureSpec
    shards: tuple[ShardInfo, ...]

    @property
    def key(self) -> str:
        """The hash of all that decides the content."""
        return store_key(self.spec, self.shards)

    @property
    def size_bytes(self) -> int:
        """The bytes of all files."""
        return sum(map(self._file_bytes, self.shards))

    def is_finished(self) -> bool:
        """Whether the store is there and complete. Raises OutputError where something else is."""
        return self._folder.is_finished()

    def prepare(self) -> tuple[ShardInfo, ...]:
        """Take the folder, which is held; the shards whose features are not there yet.

        Raises:
            OutputError: something else is there, or there is too little space.
            StorageError: storage failed.
        """
        self._folder.check()
        missing = tuple(shard for shard in self.shards if not self.has(shard))
        if isinstance(self.storage, LocalStorage):
            size_bytes = sum(map(self._file_bytes, missing))
            hint = "free some, or choose another place; what is finished is kept"
            check_space(self.storage.path, size_bytes, what="features", hint=hint)
        self._folder.begin()
        for shard in missing:
            self.storage.remove(array_name(shard.name))
        return missing

    def write(self, shard: ShardInfo, batches: Iterable[FeatureBatch]) -> None:
        """Write the features of a shard.

        Raises:
            CorruptDataError: there are more or fewer of them than the shard has records.
            FeatureRangeError: one is too large for float16.
            UsageError: one is no number.
            OutputError: the store cannot be written.
            StorageError: storage failed after retries.
        """
        stored = ((self._as_stored(features, shard), labels) for features, labels in batches)
        with self.storage.create(array_name(shard.name)) as stream:
            identity = file_identity(self.spec, shard)
            records = write_arrays(stream, self.spec.format, identity, stored)
            if records != shard.records:
                raise CorruptDataError(
                    "a shard has not as many records as the manifest says",
                    shard=shard.name,
                    expected=shard.records,
                    got=records,
                    hint="`shardmill verify` lists what else is wrong",
                )

    def has(self, shard: ShardInfo) -> bool:
        """Whether the features of a shard are there, every byte as it was written."""
        identity = file_identity(self.spec, shard)
        name = array_name(shard.name)
        return is_intact(self.storage, name, self._file_bytes(shard), identity)

    def finish(self) -> None:
        """Write the manifest, the last thing, and clear up.

        Raises:
            StorageError: a file is not there, or storage failed.
        """
        for shard in self.shards:
            facts = self.storage.stat(array_name(shard.name))
            if facts is None or facts.size_bytes != self._file_bytes(shard):
                raise StorageError(
                    "features were written and are not there",
                    path=self.storage.display_name(array_name(shard.name)),
                    hint="all workers must reach the store at this path",
                )
        keras = version("keras")
        manifest = FeatureManifest(FORMAT_VERSION, self.key, keras, self.spec, self.shards)
        self._folder.finish(encode_manifest(manifest))

    def discard(self) -> None:
        """Remove what there is of a store that will not be finished."""
        self._folder.discard()

    def open(self) -> ArraySource:
        """The records, of a store that is finished and local.

        Raises:
            CorruptDataError: a file is not whole.
        """
        for shard in self.shards:
            if not self.has(shard):
                raise CorruptDataError(
                    "a file of the feature store is missing or damaged",
                    path=self.storage.display_name(array_name(shard.name)),
                    hint="remove the store's folder, and its features are made anew",
                )
        if not isinstance(self.storage, LocalStorage):
            raise TypeError("features are read from local folders")

        from trainers.input.tensor_files import ArraySource

        return ArraySource(self.storage.path, self.spec.format)

    @property
    def _folder(self) -> ContentAddressedDir:
        names = tuple(array_name(shard.name) for shard in self.shards)
        return ContentAddressedDir(self.storage, self.key, MANIFEST, names, _ANOTHER)

    def _file_bytes(self, shard: ShardInfo) -> int:
        return self.spec.format.file_bytes(shard.records)

    def _as_stored(
        self, features: NDArray[np.float32], shard: ShardInfo
    ) -> NDArray[np.float16] | NDArray[np.float32]:
        if not np.isfinite(features).all():
            raise UsageError(
                f"the features that {self.spec.model} gives are no numbers",
                shard=shard.name,
                hint="its weights are damaged, or another model's",
            )
        with np.errstate(over="ignore"):
            stored = features.astype(self.spec.dtype)
        if not np.isfinite(stored).all():
            raise FeatureRangeError(
                "a feature is too large for float16",
                shard=shard.name,
                expected=f"at most {np.finfo(np.float16).max:g}",
                got=f"{np.abs(features).max():g}",
                hint="use --dtype float32",
            )
        return stored


@contextmanager
def wait_for_lock(storage: Storage, on_message: Callable[[str], None]) -> Iterator[None]:
    """Hold a store for one process; another one that holds it is waited for."""
    with ExitStack() as stack:
        if not _try_to_hold(storage, stack):
            on_message(f"another process is writing {storage.url}: waiting for it")
            while not _try_to_hold(storage, stack):
                time.sleep(_WAIT_SECONDS)
        yield


def _try_to_hold(storage: Storage, stack: ExitStack) -> bool:
    try:
        stack.enter_context(storage.lock())
    except LockedError:
        return False
    return True
