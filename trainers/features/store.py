"""A feature store: one file of features per shard, and a manifest.

    train-00000-of-00008.arrays …   see `trainers.input.tensor_files`
    features.json                   see `trainers.features.manifest`; written last
    .shardmill/                     of an unfinished store: key, staged files, and the skipped
                                    records of each shard that has some

Every file is written atomically and contains a hash of its source, so a killed run resumes with the
missing shards. One job at a time fills a store.
"""

from __future__ import annotations

import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from records.content_addressed_dir import ContentAddressedDir
from records.errors import CorruptDataError, LockedError, StorageError, UsageError
from records.format.layout import WORK_FOLDER
from records.storage.local import LocalStorage
from records.storage.ownership import foreign_file
from records.strict_json import decode_json
from trainers.features import MANIFEST
from trainers.features.manifest import (
    FORMAT_VERSION,
    FeatureManifest,
    FeatureSpec,
    SkippedRecord,
    encode_manifest,
    file_identity,
    read_manifest,
    store_key,
)
from trainers.input.tensor_files import array_name, check_space, is_intact, write_arrays

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

    from records.format.manifest import ShardInfo
    from records.storage import Storage
    from trainers.input.tensor_files import ArraySource

_SKIPPED = f"{WORK_FOLDER}/skipped"
_MISMATCH = "a feature store of a different dataset, model or set of weights"
WAIT_SECONDS = 1.0

FeatureBatch = tuple["NDArray[np.float32]", "NDArray[np.int64]"]
"""Features (batch, features) and labels (batch,)."""


class FeatureRangeError(UsageError):
    """A feature is too large for float16."""


@dataclass(frozen=True)
class FeatureStore:
    """The store of the features of some shards, complete or not."""

    storage: Storage
    spec: FeatureSpec
    shards: tuple[ShardInfo, ...]

    @property
    def key(self) -> str:
        """Return the hash of everything that determines the content."""
        return store_key(self.spec, self.shards)

    @property
    def size_bytes(self) -> int:
        """Return the size of all files in bytes."""
        return sum(map(self._file_bytes, self.shards))

    def is_finished(self) -> bool:
        """Return whether the store is complete.

        Raises:
            OutputError: the folder contains something other than these features.
        """
        return self._folder.is_finished()

    def prepare(self) -> tuple[ShardInfo, ...]:
        """Prepare the folder, which the caller has locked; return the shards without features.

        Raises:
            OutputError: the folder contains something other than these features, or a file that is
                damaged or belongs to the user; or the disk has too little space.
            StorageError: storage failed.
        """
        self._folder.check()
        missing = tuple(shard for shard in self.shards if not self.has(shard))
        # The checksum of an own file covers the key of the store, and no file appears incomplete.
        for name in (array_name(shard.name) for shard in missing):
            if self.storage.stat(name) is not None:
                raise foreign_file(self.storage, name)
        if isinstance(self.storage, LocalStorage):
            size_bytes = sum(map(self._file_bytes, missing))
            hint = "free disk space, or choose another location; finished shards are kept"
            check_space(self.storage.path, size_bytes, what="features", hint=hint)
        self._folder.begin()
        for shard in missing:
            self.storage.remove(_skipped_name(shard))
        return missing

    @property
    def skipped(self) -> tuple[SkippedRecord, ...]:
        """Return the records without features, of all shards that are finished, sorted.

        Raises:
            CorruptDataError: the manifest, or a file of the work folder, is damaged.
        """
        manifest = read_manifest(self.storage)
        if manifest is not None:
            return manifest.skipped
        found: list[SkippedRecord] = []
        for name in self.storage.list(_SKIPPED):
            try:
                found += decode_json(self.storage.read(name), list[SkippedRecord])
            except msgspec.DecodeError as error:
                raise CorruptDataError(
                    "a file of the unfinished store is damaged",
                    path=self.storage.display_name(name),
                    got=str(error),
                    hint="remove the folder of the store, and run the same command again",
                ) from error
        return tuple(sorted(found))

    def write_skipped(self, skipped: Iterable[SkippedRecord]) -> None:
        """Record which records have no features, before their shards are written.

        The records of shards of other workers are ignored. Raises as `Storage.replace`.
        """
        for shard in self.shards:
            records = sorted(record for record in skipped if record.shard == shard.name)
            if records:
                self.storage.replace(_skipped_name(shard), msgspec.json.encode(records))

    def write(self, shard: ShardInfo, batches: Iterable[FeatureBatch]) -> None:
        """Write the features of a shard.

        Raises:
            CorruptDataError: the number of records differs from the manifest of the dataset.
            FeatureRangeError: a feature is too large for float16.
            UsageError: a feature is NaN or infinite.
            OutputError: the store cannot be written.
            StorageError: storage failed after retries.
        """
        stored = ((self._as_stored(features, shard), labels) for features, labels in batches)
        with self.storage.create(array_name(shard.name)) as stream:
            identity = file_identity(self.spec, shard)
            records = write_arrays(stream, self.spec.format, identity, stored)
            if records != shard.records:
                raise CorruptDataError(
                    "the number of records in a shard differs from the manifest",
                    shard=shard.name,
                    expected=shard.records,
                    got=records,
                    hint="`shardmill verify` lists all findings",
                )

    def has(self, shard: ShardInfo) -> bool:
        """Return whether the features of a shard exist and are intact."""
        identity = file_identity(self.spec, shard)
        name = array_name(shard.name)
        return is_intact(self.storage, name, self._file_bytes(shard), identity)

    def finish(self) -> None:
        """Write the manifest last, and remove the work folder.

        Raises:
            StorageError: a file is missing, or storage failed.
        """
        for shard in self.shards:
            facts = self.storage.stat(array_name(shard.name))
            if facts is None or facts.size_bytes != self._file_bytes(shard):
                raise StorageError(
                    "features that a worker wrote are missing",
                    path=self.storage.display_name(array_name(shard.name)),
                    hint="make this path accessible to all workers",
                )
        keras = version("keras")
        manifest = FeatureManifest(
            FORMAT_VERSION, self.key, keras, self.spec, self.shards, self.skipped
        )
        self._folder.finish(encode_manifest(manifest))

    def discard(self) -> None:
        """Remove the files of a store that will not be finished."""
        self._folder.discard(array_name(shard.name) for shard in self.shards if self.has(shard))

    def open(self) -> ArraySource:
        """Return the records of a finished local store.

        Raises:
            CorruptDataError: a file is missing or damaged.
        """
        for shard in self.shards:
            if not self.has(shard):
                raise CorruptDataError(
                    "a file of the feature store is missing or damaged",
                    path=self.storage.display_name(array_name(shard.name)),
                    hint="remove the folder of the store, and run the same command again",
                )
        if not isinstance(self.storage, LocalStorage):
            raise TypeError("features are read from local folders")

        from trainers.input.tensor_files import ArraySource

        skipped = frozenset((record.shard, record.record) for record in self.skipped)
        return ArraySource(self.storage.path, self.spec.format, skipped)

    @property
    def _folder(self) -> ContentAddressedDir:
        names = tuple(array_name(shard.name) for shard in self.shards)
        return ContentAddressedDir(self.storage, self.key, MANIFEST, names, _MISMATCH)

    def _file_bytes(self, shard: ShardInfo) -> int:
        return self.spec.format.file_bytes(shard.records)

    def _as_stored(
        self, features: NDArray[np.float32], shard: ShardInfo
    ) -> NDArray[np.float16] | NDArray[np.float32]:
        if not np.isfinite(features).all():
            raise UsageError(
                f"the features of {self.spec.model} contain NaN or infinite values",
                shard=shard.name,
                hint="the weights are damaged, or belong to a different model",
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


def _skipped_name(shard: ShardInfo) -> str:
    return f"{_SKIPPED}/{array_name(shard.name)}.json"


@contextmanager
def wait_for_lock(storage: Storage, on_message: Callable[[str], None]) -> Iterator[None]:
    """Lock a store during the block; if another process holds the lock, first wait for it."""
    with ExitStack() as stack:
        if not _try_lock(storage, stack):
            on_message(f"another process is writing to {storage.url}: waiting until it ends")
            while not _try_lock(storage, stack):
                time.sleep(WAIT_SECONDS)
        yield


def _try_lock(storage: Storage, stack: ExitStack) -> bool:
    try:
        stack.enter_context(storage.lock())
    except LockedError:
        return False
    return True
