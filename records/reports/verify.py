"""Everything that can be wrong with a dataset or a TFRecord file, found without stopping at it.

    for finding in verify("data"):
        print(finding)

What concerns a whole shard (`record-count`, `size`, `checksum`) is reported only where no record of
it is at fault: each damage is one finding, the most precise one.
"""

from __future__ import annotations

import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from records.cores import count_cores
from records.errors import DamagedError
from records.layout import MANIFEST, parse_shard_name
from records.manifest import read_manifest
from records.record import RecordDecoder
from records.reports.finding import Checked, Finding, find_in
from records.reports.folder_check import check_folder
from records.reports.keys_check import check_keys
from records.reports.shard_check import check_shard
from records.reports.target import open_target
from records.reports.tfrecord_check import check_tfrecord

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from records.manifest import Manifest, Shard
    from records.storage import Storage


def verify(path: str | os.PathLike[str], decode: bool = False) -> Iterator[Finding]:
    """Check every checksum, count, size, label and index row below a path or URL.

    Args:
        path: a dataset, or one TFRecord file of anybody's (also GZIP or ZLIB), of which only the
            frames are checked, and that each holds an Example.
        decode: decode every image of a dataset too.

    Raises:
        NoInputError: there is neither a dataset nor a file.
    """
    for checked in check_files(path, decode=decode):
        yield from checked.findings


def check_files(path: str | os.PathLike[str], *, decode: bool = False) -> Iterator[Checked]:
    """As `verify`, a file at a time, with what was read of each. Raises NoInputError."""
    storage, file = open_target(path)
    if file is not None:
        yield check_tfrecord(storage, file)
        return
    try:
        manifest = read_manifest(storage)
    except DamagedError as error:
        yield Checked(MANIFEST, findings=[find_in(error, "manifest", MANIFEST)])
        yield from _check_without_manifest(storage, decode=decode)
        return
    yield Checked(MANIFEST, findings=list(check_folder(storage, manifest)))
    yield from _check_dataset(storage, manifest, decode=decode)


def _check_dataset(storage: Storage, manifest: Manifest, *, decode: bool) -> Iterator[Checked]:
    shards = {shard.name: shard for split in manifest.splits.values() for shard in split.shards}
    split_of = {
        shard.name: name for name, facts in manifest.splits.items() for shard in facts.shards
    }
    decoder = RecordDecoder(manifest.labels, manifest.adopted)
    counts: dict[str, Counter[int]] = {split: Counter() for split in manifest.splits}
    keys = {}
    for checked in _check_shards(storage, shards, decoder, decode=decode):
        yield checked
        if checked.keys is not None:
            keys[checked.file] = checked.keys
            counts[split_of[checked.file]] += checked.class_records
    findings = list(check_keys(keys))
    if len(keys) == len(shards):
        findings += _check_class_counts(manifest, counts)
    yield Checked(MANIFEST, findings=findings)


def _check_without_manifest(storage: Storage, *, decode: bool) -> Iterator[Checked]:
    names = [name for name in storage.list() if parse_shard_name(name)]
    yield from _check_shards(storage, dict.fromkeys(names), RecordDecoder(()), decode=decode)


def _check_shards(
    storage: Storage,
    shards: Mapping[str, Shard | None],
    decoder: RecordDecoder,
    *,
    decode: bool,
) -> Iterator[Checked]:
    def check(name: str) -> Checked:
        return check_shard(storage, name, expected=shards[name], decoder=decoder, decode=decode)

    with ThreadPoolExecutor(count_cores()) as threads:
        yield from threads.map(check, shards)


def _check_class_counts(
    manifest: Manifest, counts: Mapping[str, Counter[int]]
) -> Iterator[Finding]:
    for split, facts in manifest.splits.items():
        for label, expected in enumerate(facts.class_records):
            if counts[split][label] != expected:
                detail = f"{split} has {counts[split][label]} of class {label}, not {expected}"
                yield Finding("class-count", MANIFEST, detail)
