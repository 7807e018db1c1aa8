"""Verification of a dataset or a TFRecord file.

    for finding in verify("data"):
        print(finding)

Checks continue after a finding. Findings about a whole shard (`record-count`, `size`, `checksum`)
are reported only if no record of that shard has a finding. Damage is thus reported once, by the
most precise finding.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from records.arguments import Processes, check_arguments
from records.dataset.record import RecordDecoder
from records.dataset.resolve import resolve_path
from records.errors import CorruptDataError, UsageError
from records.format.layout import MANIFEST, generation_folder, parent, parse_shard_name
from records.format.manifest import read_manifest
from records.generations import read_generation
from records.integrity.findings import FileCheck, Finding, finding_from_error
from records.runtime.cpu import available_cpus
from records.runtime.processes import divide_cpus, process_map
from records.storage import is_in_memory
from records.verification.earlier import check_earlier_files, read_saved_files, saved_shards
from records.verification.shard import check_shard
from records.verification.side_files import check_side_files
from records.verification.signature import check_sha256, check_signature
from records.verification.tfrecord import check_tfrecord
from records.verification.unfinished import find_unfinished

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from records.format.manifest import Manifest, ShardInfo
    from records.runtime.shard_worker import ProgressCallback
    from records.storage import Storage


# Approximate seconds of one CPU per record and per byte.
_COSTS = (80e-6, 2e-9)
_DECODING_COSTS = (200e-6, 20e-9)


@check_arguments
def verify(
    path: str | os.PathLike[str],
    decode: bool = False,
    *,
    processes: Processes | None = None,
    key: str | os.PathLike[str] | None = None,
) -> Iterator[Finding]:
    """Check every checksum, count, size, label and index row of a dataset.

    Args:
        path: the path or URL of a dataset, of one of its generations (`data@3`), or of a TFRecord
            file: plain, GZIP or ZLIB. For a file, the only checks are whether the frames are
            intact, and whether each record is an Example or a SequenceExample.
        decode: whether to decode every image of a dataset, too.
        processes: the number of processes that check shards; by default, it follows from the usable
            CPUs and the size of the dataset.
        key: the path of a public Ed25519 key, to check the signature of the dataset and the SHA-256
            of each shard; by default, neither is checked.

    Yields:
        Findings, in the order of the files. An intact dataset has no findings.

    Raises:
        InputNotFoundError: the path is neither a dataset nor a file, or the key does not exist.
        UsageError: the key is not a public key, or the path is a file, which has no signature.
    """
    for checked in check_files(path, decode=decode, processes=processes, key=key):
        yield from checked.findings


def check_files(
    path: str | os.PathLike[str],
    *,
    decode: bool = False,
    processes: int | None = None,
    key: str | os.PathLike[str] | None = None,
) -> Iterator[FileCheck]:
    """Yield the result of checking each file: the findings, and the number of bytes read.

    For arguments and exceptions, see `verify`. An intact manifest has several results: the first
    has the findings about the side files, the last has the findings about the dataset as a whole,
    and each other one is about a file that only earlier generations need.
    """
    storage, file, generation = resolve_path(path)
    if file is not None:
        if key is not None:
            raise UsageError("a file has no signature", path=storage.display_name(file))
        yield check_tfrecord(storage, file)
        return
    try:
        manifest = read_generation(storage, generation)
    except CorruptDataError as error:
        yield FileCheck(MANIFEST, findings=[finding_from_error(error, "manifest", MANIFEST)])
        shards = dict.fromkeys(filter(parse_shard_name, storage.list()))
        yield from _check_shards(
            _Check(storage, shards, RecordDecoder((), multi_label=True), decode), processes
        )
        return
    if key is not None:
        yield check_signature(storage, manifest, key)
    is_signed = key is not None
    unfinished, known = find_unfinished(storage)
    is_present = generation is None or manifest == read_manifest(storage)
    saved, findings = read_saved_files(storage)
    known |= saved_shards(saved)
    findings += check_side_files(
        storage, manifest, known, is_present=is_present, trusts_runs=not is_signed
    )
    is_converted = manifest.adopted is None
    yield FileCheck(MANIFEST, findings=findings, unfinished=unfinished, is_repairable=is_converted)
    if generation is None:
        yield from check_earlier_files(storage, manifest, saved)
    yield from _check_dataset(
        storage, manifest, decode=decode, processes=processes, sha256=is_signed
    )


def _check_dataset(
    storage: Storage, manifest: Manifest, *, decode: bool, processes: int | None, sha256: bool
) -> Iterator[FileCheck]:
    shards = {shard.name: shard for split in manifest.splits.values() for shard in split.shards}
    split_of = {shard.name: name for name, it in manifest.splits.items() for shard in it.shards}
    decoder = RecordDecoder.of(manifest)
    counts: dict[str, Counter[int]] = {split: Counter() for split in manifest.splits}
    keys = {}
    plans = {generation_folder(each.number): each.plan_digest for each in manifest.generations}
    digests = {name: plans.get(parent(name), plans.get("")) for name in shards}
    check = _Check(storage, shards, decoder, decode, digests, sha256)
    for checked in _check_shards(check, processes):
        yield checked
        if checked.keys is not None:
            keys[checked.file] = checked.keys
            counts[split_of[checked.file]] += checked.class_records
    findings = list(find_duplicate_keys(keys))
    if len(keys) == len(shards):
        findings += _check_class_counts(manifest, counts)
    yield FileCheck(MANIFEST, findings=findings)


@dataclass(frozen=True)
class _Check:
    """The check of a shard by its name; it is sent to other processes."""

    storage: Storage
    shards: Mapping[str, ShardInfo | None]
    decoder: RecordDecoder
    decode: bool
    plan_digests: Mapping[str, str | None] = field(default_factory=dict)
    sha256: bool = False

    def __call__(self, name: str, _count: ProgressCallback | None = None) -> FileCheck:
        expected = self.shards[name]
        checked = check_shard(
            self.storage,
            name,
            expected=expected,
            plan_digest=self.plan_digests.get(name),
            decoder=self.decoder,
            decode=self.decode,
        )
        if self.sha256 and expected is not None and not checked.findings:
            checked.findings += check_sha256(self.storage, expected)
        return checked

    @property
    def seconds(self) -> float:
        """The approximate time of all shards on one CPU; 0 if the manifest is damaged."""
        known = [shard for shard in self.shards.values() if shard is not None]
        records, size_bytes = sum(each.records for each in known), sum(each.bytes for each in known)
        per_record, per_byte = _DECODING_COSTS if self.decode else _COSTS
        return per_record * records + per_byte * size_bytes


def _check_shards(check: _Check, processes: int | None) -> Iterator[FileCheck]:
    if is_in_memory(check.storage.url):
        processes = 1
    processes = divide_cpus(len(check.shards), check.seconds, processes=processes).processes
    if processes > 1:
        yield from process_map(check, [*check.shards], processes=processes)
        return
    with ThreadPoolExecutor(available_cpus()) as threads:
        yield from threads.map(check, check.shards)


def _check_class_counts(
    manifest: Manifest, counts: Mapping[str, Counter[int]]
) -> Iterator[Finding]:
    for split, info in manifest.splits.items():
        for label, expected in enumerate(info.class_records):
            if counts[split][label] != expected:
                got = counts[split][label]
                detail = f"records of class {label} in {split}: expected {expected}, got {got}"
                yield Finding("class-count", MANIFEST, detail)


def find_duplicate_keys(keys: Mapping[str, pa.ChunkedArray]) -> Iterator[Finding]:
    """Yield a finding for each record with the key of an earlier record.

    Args:
        keys: the keys of each shard (Arrow strings) by shard name, in the order of the dataset.
    """
    if not any(map(len, keys.values())):  # Arrow crashes without values to count
        return
    all_keys = pa.chunked_array(
        [chunk for column in keys.values() for chunk in column.chunks], pa.string()
    )
    counted = pc.value_counts(all_keys)
    repeated = counted.field("values").filter(pc.greater(counted.field("counts"), 1))
    positions = pc.indices_nonzero(pc.is_in(all_keys, value_set=repeated)).to_pylist()
    files = list(keys)
    ends = list(accumulate(len(column) for column in keys.values()))
    first: dict[str, str] = {}
    for position in positions:
        number = bisect_right(ends, position)
        record = position - (ends[number] - len(keys[files[number]]))
        key = all_keys[position].as_py()
        if key in first:
            detail = f"{first[key]} has the same key"
            yield Finding("duplicate-key", files[number], detail, record=record, key=key)
        else:
            first[key] = f"{files[number]} record {record}"
