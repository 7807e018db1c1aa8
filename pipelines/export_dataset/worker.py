"""Worker that writes one file of an export."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, cast

import xxhash

from pipelines.export_dataset.plan import PlannedFile
from records.dataset import Dataset
from records.errors import CorruptDataError
from records.exchange import FORMATS
from records.format.digest import FileDigest, digest_stream
from records.format.manifest import Manifest, encode_manifest
from records.generations import read_generation
from records.runtime.shard_worker import ProgressCallback, WorkerResult
from records.storage import Storage, open_storage

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

    from records.dataset import Record, Split
    from records.storage import StagedFile

_MOST_RECORDS = 64
_BATCH_BYTES = 16 << 20
"""The records that are read at a time, in few requests from an object store, and their size."""


@dataclass(frozen=True)
class ExportWorker:
    """Writes one file of an export, unless it exists.

    Args:
        dataset: the location of the dataset, which every worker can reach.
        generation: the number of the exported generation.
        digest: the hash of its manifest, see `manifest_digest`.
        output: the location of the output, which every worker can reach.
        format_name: the format.
        files: the planned files, by name.
    """

    dataset: str
    generation: int
    digest: str
    output: str
    format_name: str
    files: Mapping[str, PlannedFile]

    def __call__(self, name: str, count: ProgressCallback, /) -> WorkerResult:
        """Write the file `name`; return its size and its SHA-256.

        Raises:
            CorruptDataError: a record or an index is damaged, or the dataset has changed.
            OutputError: the output cannot be written.
            StorageError: storage failed after retries.
        """
        file, output = self.files[name], open_storage(self.output)
        try:
            existing = output.open(name)
        except FileNotFoundError:
            digest = self._write(output, file, count)
        else:
            # The key of the run covers the file, and no file appears incomplete.
            with existing:
                digest = digest_stream(existing)
            count(file.records)
        return {"bytes": digest.bytes, "sha256": digest.sha256}

    def _write(self, output: Storage, file: PlannedFile, count: ProgressCallback) -> FileDigest:
        storage = open_storage(self.dataset)
        manifest = read_generation(storage, self.generation)
        digest = manifest_digest(manifest)
        if digest != self.digest:
            raise CorruptDataError(
                "the dataset was replaced while it was exported",
                path=storage.url,
                expected=f"a manifest with the hash {self.digest}",
                got=digest,
                hint="remove the unfinished export, and run the same command again",
            )
        records = _read(Dataset(storage, manifest)[file.split], file, count)
        with output.create(file.name) as staged:
            hashed = _HashedFile(staged)
            FORMATS[self.format_name].load().write(cast("BinaryIO", hashed), records, manifest)
        return hashed.digest()


def manifest_digest(manifest: Manifest) -> str:
    """Return the hash of a manifest, 32 hexadecimal digits."""
    return xxhash.xxh3_128_hexdigest(encode_manifest(manifest))


def _read(split: Split, file: PlannedFile, count: ProgressCallback) -> Iterator[Record]:
    end = file.first + file.records
    record_bytes = split.info.bytes // split.info.records
    batch = min(_MOST_RECORDS, max(1, _BATCH_BYTES // max(1, record_bytes)))
    for first in range(file.first, end, batch):
        for record in split[first : min(end, first + batch)]:
            yield record
            count(1)


class _HashedFile(io.RawIOBase):
    """A staged file that can only be appended to; it computes the digest of its bytes."""

    def __init__(self, staged: StagedFile) -> None:
        super().__init__()
        self._staged = staged
        self._size_bytes = 0
        self._sha256 = hashlib.sha256()

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._size_bytes

    def write(self, data: ReadableBuffer, /) -> int:
        content = bytes(data)  # a writer may use its buffer again
        self._staged.write(content)
        self._sha256.update(content)
        self._size_bytes += len(content)
        return len(content)

    def digest(self) -> FileDigest:
        """Return the digest of the bytes written so far."""
        return FileDigest(self._size_bytes, self._sha256.hexdigest())
