"""Random access to single records and batches, without decoding."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from benchmarks.harness.environments import make_environment, program
from benchmarks.harness.rounds import Case, Contestant
from benchmarks.harness.settings import Entry, Setting
from benchmarks.inputs.datasets import converted, written
from benchmarks.inputs.pictures import photos, small_images
from benchmarks.suites.conversion import OURS, Peer

if TYPE_CHECKING:
    from pathlib import Path

OPEN_DATASET = "records.open_dataset"
OPEN_DATASET_BATCHES = "records.open_dataset, batches of 256"
MDS = "MosaicML StreamingDataset"
WIDS = "wids ShardListDataset"
ARRAY_RECORD = "ArrayRecord"
ARRAY_RECORD_BATCHES = "ArrayRecord, batches of 256"
BATCHES = {OPEN_DATASET_BATCHES, ARRAY_RECORD_BATCHES}

OWN_READERS = {
    OPEN_DATASET: "shardmill_access",
    OPEN_DATASET_BATCHES: "shardmill_batch_access",
}
_ARRAY_RECORD_WRITER = "array_record_writer"
READERS = {
    Peer(MDS, "mds_access", "mds", ("mosaicml-streaming",)): "mds_writer",
    Peer(WIDS, "wids_access", "wids", ("webdataset",)): "webdataset_writer",
    Peer(ARRAY_RECORD, "array_record_access", "grain", ("array-record",)): _ARRAY_RECORD_WRITER,
    Peer(
        ARRAY_RECORD_BATCHES, "array_record_batch_access", "grain", ("array-record",)
    ): _ARRAY_RECORD_WRITER,
}


def enter(setting: Setting) -> Entry:
    """Return shardmill and its peers; each reads a dataset that its writer wrote."""
    peers = [_peer(setting, reader, writer) for reader, writer in READERS.items()]
    cases = [
        small_images(setting.data, setting.cache, setting.scale.drawn_images),
        photos(setting.data, setting.cache, setting.scale.drawn_images),
    ]
    ours = [_ours(setting, name, reader) for name, reader in OWN_READERS.items()]
    return Entry([*ours, *peers], [draw(case, setting) for case in cases])


def draw(case: Case, setting: Setting) -> Case:
    """Return the case with the number of random accesses, and their size."""
    draws = setting.scale.draws
    return replace(case, images=draws, bytes=case.bytes * draws // case.images)


def _ours(setting: Setting, name: str, reader: str) -> Contestant:
    def command(case: Case, _: Path) -> list[str]:
        dataset = str(converted(setting, case))
        return [sys.executable, program(reader), dataset, str(case.images)]

    return Contestant(name, command, OURS)


def _peer(setting: Setting, reader: Peer, writer: str) -> Contestant:
    python = str(make_environment(reader.environment, setting.cache))

    def command(case: Case, _: Path) -> list[str]:
        folder = written(setting, case, reader._replace(program=writer))
        return [python, program(reader.program), str(folder), str(case.images)]

    return Contestant(reader.name, command, reader.version())
