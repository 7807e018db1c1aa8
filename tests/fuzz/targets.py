"""Fuzz targets: the readers of untrusted files, as functions of bytes.

A target returns if its reader reads the bytes, or rejects them with a ShardmillError. Any other
exception is a finding. Targets also check results for consistency: a record that was read is in the
file, and a value that is encoded again is read the same.
"""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import BinaryIO, NamedTuple

import msgspec

from pipelines import run_state
from pipelines.options import ConvertOptions
from pipelines.planning.plan import ShardPlan
from pipelines.run_state import UnfinishedRun
from pipelines.sources.base import SourceImage
from pipelines.sources.lists.columns import choose_columns
from pipelines.sources.lists.open import parse_list
from pipelines.sources.lists.rows import read_rows
from records.dataset import decode_record
from records.errors import CorruptDataError, ShardmillError, UsageError
from records.format import layout
from records.format.example import decode_example, decode_sequence_example, encode_example
from records.format.index import SCHEMA, encode_index, new_row_table, read_index, read_index_file
from records.format.label_map import format_labels, parse_labels
from records.format.manifest import Manifest, decode_manifest, encode_manifest
from records.format.metadata.croissant import croissant_files
from records.format.tfds_metadata import tfds_files
from records.format.tfrecord import Frame, FrameError, frame_bytes, read_frames
from records.format.tfrecord_compression import open_tfrecord
from records.integrity.resilient_reader import scan_frames
from records.storage.local import LocalStorage
from tests.datasets import DatasetBuilder, make_sources, sign_manifest
from tests.fuzz.containers import (
    check_container,
    cifar_files,
    compressed_tars,
    idx_files,
    mds_files,
    npz_files,
    parquets,
    tars,
    tfrecords,
    zips,
)

SHARD = layout.shard_name("train", 0, 1)


class Target(NamedTuple):
    """A function that raises only for findings, and valid files to start with."""

    check: Callable[[bytes], None]
    seeds: Callable[[], Sequence[bytes]]


class OneFile(LocalStorage):
    """Storage in which every name is a file of these bytes."""

    def __init__(self, content: bytes) -> None:
        super().__init__("fuzzed")
        self._content = content

    def read(self, name: str) -> bytes:
        """Return the bytes."""
        return self._content

    def open(self, name: str) -> BinaryIO:
        """Return the bytes as a stream."""
        return io.BytesIO(self._content)


def check_framing(data: bytes) -> None:
    """Check that records are read unchanged, and that a scan finds those before the damage."""
    read: list[Frame] = []
    damaged = False
    try:
        read.extend(read_frames(io.BytesIO(data)))
    except FrameError:
        damaged = True
    for frame in read:
        assert data[frame.offset :].startswith(frame_bytes(frame.payload))
    scanned = list(scan_frames(io.BytesIO(data)))
    frames = [item for item in scanned if isinstance(item, Frame)]
    assert frames[: len(read)] == read
    assert damaged == any(isinstance(item, FrameError) for item in scanned)
    for frame in frames:
        assert data[frame.offset :].startswith(frame_bytes(frame.payload))


def check_compressed(data: bytes) -> None:
    """Check that a compressed file does not grow beyond its limit."""
    given_bytes = 0
    try:
        for frame in read_frames(open_tfrecord(io.BytesIO(data))):
            given_bytes += len(frame.payload)
    except CorruptDataError:
        pass
    assert given_bytes <= max(16 << 20, 1001 * len(data))


def check_example(data: bytes) -> None:
    """Check that features are lists of one type, and survive a round trip."""
    for decode in (decode_sequence_example, decode_record):
        try:
            decode(data)
        except CorruptDataError:
            continue
    try:
        features = decode_example(data)
    except CorruptDataError:
        return
    for values in features.values():
        assert len(set(map(type, values))) <= 1
        assert isinstance(next(iter(values), b""), bytes | int | float)
    again = decode_example(encode_example(features))
    assert repr(sorted(again.items())) == repr(sorted(features.items()))


def check_index(data: bytes) -> None:
    """Check that the rows of an index have the right types, and survive a round trip."""
    with suppress(CorruptDataError):
        read_index_file(OneFile(data), "a")
    try:
        index = read_index(OneFile(data), "a")
    except CorruptDataError:
        return
    rows = index.rows()
    assert len(rows) == len(index)
    for number, row in enumerate(rows):
        index.find(row.offset)
        assert index.location(number) == (row.offset, row.length)
        assert None not in row._replace(labels=())
    again = read_index(OneFile(encode_index(index.summary, new_row_table(rows))), "a")
    assert (again.summary, again.rows()) == (index.summary, rows)
    assert again.table.schema == SCHEMA


def check_manifest(data: bytes) -> None:
    """Check that a manifest survives a round trip, and that its derived files can be made.

    A change is refused because of the digest, so the manifest is also signed again.
    """
    for content in (data, *_signed(data)):
        try:
            manifest = decode_manifest(content, path="a")
        except CorruptDataError:
            continue
        _check_valid_manifest(content, manifest)


def _signed(data: bytes) -> Iterator[bytes]:
    """Yield the manifest with the right digest; nothing if it is not JSON of a manifest."""
    with suppress(ValueError, RecursionError, AttributeError):
        yield sign_manifest(json.loads(data))


def _check_valid_manifest(content: bytes, manifest: Manifest) -> None:
    assert encode_manifest(manifest) == content
    tfds_files(manifest)
    croissant_files(manifest)
    format_labels(manifest.labels)
    for split in manifest.splits.values():
        assert len(range(split.records)) == split.records
        for shard in split.shards:
            assert not Path(shard.name).is_absolute()
            assert ".." not in Path(shard.name).parts


def check_features(data: bytes) -> None:
    """Check that the manifest of a feature store survives a round trip."""
    from trainers.features import manifest

    try:
        found = manifest.decode_manifest(data, path="a")
    except CorruptDataError:
        return
    assert manifest.decode_manifest(manifest.encode_manifest(found), path="a")


def check_plan(data: bytes) -> None:
    """Check that no name in the state of an unfinished run leaves the output."""
    storage = OneFile(data)
    for read in (run_state.read_shard_plan, run_state.read_result):
        try:
            read(storage, SHARD)
        except CorruptDataError:
            continue
    with suppress(ShardmillError):
        run_state.raise_failure(storage, SHARD)
    try:
        run = run_state.read_run(storage)
    except CorruptDataError:
        return
    assert run is not None
    assert not any(".." in Path(name).parts or name.startswith("/") for name in run.shards)


def check_labels(data: bytes) -> None:
    """Check that a label map of any format survives a round trip."""
    for path in ("labels.txt", "labels.pbtxt", "labels.json"):
        try:
            labels = parse_labels(data, path=path)
        except UsageError:
            continue
        assert parse_labels(format_labels(labels), path="labels.txt") == labels


def check_list(data: bytes) -> None:
    """Check that no path in a list of images leaves the source, in any format of lists."""
    options = ConvertOptions(source="/photos", output="")
    for name in ("list.csv", "list.jsonl"):
        try:
            table = parse_list(data, name, options)
            roles = choose_columns(table, options)
            rows = list(read_rows(table, roles, options))
        except UsageError:
            continue
        for row in rows:
            assert row.url is None
            for key in (row.key, *row.spellings):
                assert not key.startswith(b"/")
                assert b".." not in key.split(b"/")


@cache
def _scratch() -> Path:
    memory = Path("/dev/shm")
    return Path(tempfile.mkdtemp(prefix="shardmill-", dir=memory if memory.is_dir() else None))


@cache
def _dataset() -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        DatasetBuilder(LocalStorage(folder)).build({"train": [make_sources(4)]})
        return {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in Path(folder).rglob("*")
            if path.is_file()
        }


def _shards() -> list[bytes]:
    return [_dataset()[SHARD], frame_bytes(b""), frame_bytes(b"a") + frame_bytes(bytes(40))]


def _compressed() -> list[bytes]:
    import gzip
    import zlib

    whole = _dataset()[SHARD]
    return [gzip.compress(whole), zlib.compress(whole), gzip.compress(b"") + gzip.compress(whole)]


def _examples() -> list[bytes]:
    stored = [frame.payload for frame in read_frames(io.BytesIO(_dataset()[SHARD]))]
    return [*stored, encode_example({"a": [1, -1], "b": [0.5], "é": [b"x", b""], "": []})]


def _indexes() -> list[bytes]:
    return [_dataset()[layout.index_name(SHARD)]]


def _manifests() -> list[bytes]:
    return [_dataset()[layout.MANIFEST]]


def _feature_manifests() -> list[bytes]:
    from records.images import ImageOptions
    from trainers.config import ImageShape
    from trainers.features import manifest as features

    manifest = decode_manifest(_dataset()[layout.MANIFEST], path="a")
    shards = manifest.splits["train"].shards
    spec = features.FeatureSpec(
        "mobilenet_v2", "0" * 32, ImageShape(224, 224, 3), "avg", "float16", 8, ImageOptions(), 1
    )
    key = features.store_key(spec, shards)
    return [features.encode_manifest(features.FeatureManifest(1, key, "3", spec, shards))]


def _plans() -> list[bytes]:
    plan = ShardPlan(SHARD, "train", "0" * 32, (SourceImage(b"a/\xff.png", 0, 9),))
    failure = run_state.Failure(
        "StorageError", 74, "a", None, None, None, None, expected=None, got=None, hint=None
    )
    return [
        msgspec.msgpack.encode(plan),
        msgspec.json.encode(UnfinishedRun("0" * 32, "0" * 32, {"pillow": "12"}, (SHARD,))),
        msgspec.json.encode(failure),
    ]


def _label_maps() -> list[bytes]:
    return [
        b"0:cat\n1:dog\n",
        b"cat\ndog\n",
        b"item { id: 1 name: 'cat' }\nitem {\n  id: 2\n  name: \"dog\"\n}\n",
        b'["cat", "dog"]',
        b'{"cat": 0, "dog": 1}',
        b'{"0": "cat", "1": "d\\u00e9g"}',
    ]


def _lists() -> list[bytes]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    parquet = io.BytesIO()
    columns = {"id": [1, 2], "label": ["cat", None], "score": [0.5, 1.0], "many": [["a"], []]}
    pq.write_table(pa.table(columns), parquet)
    return [
        b'path,label,split,group\na.png,cat,train,g\n"b,c/d.png",dog,test,\n',
        b'{"path": "a.png", "label": "cat"}\n{"path": "b/c.png", "label": 3, "split": "val"}\n',
        b"path,label\n../a.png,cat\n/b.png,dog\nfile:///c.png,dog\n",
        "sep=;\r\nImage ID;Label;Größe\r\na.png;cat;1,5\r\n".encode("utf-16"),
        b"filename, cat, dog\na\\b.png, 1, 0\n /c.png, 0, 1\n",
        b"TRAIN,gs://b/a.png,cat\nTEST,gs://b/b.png,dog\n",
        b"a.png 3\nb.png  4\n",
        b'[{"image": "/data/upload/1/a.png", "label": ["cat"], "x": {"y": null}}]',
        b"""[{"data": {"image": "/data/local-files/?d=a/b.png"},
        "annotations": [{"result": [{"type": "choices", "value": {"choices": ["cat"]}}]}]}]""",
        b"""{"images": [{"id": 1, "file_name": "a.png"}], "categories": [{"id": 2, "name": "cat"}],
        "annotations": [{"image_id": 1, "category_id": 2}]}""",
        b'{"a.png": "cat",\n"b.png": 2}',
        parquet.getvalue(),
    ]


TARGETS = {
    "framing": Target(check_framing, _shards),
    "compressed": Target(check_compressed, _compressed),
    "example": Target(check_example, _examples),
    "index": Target(check_index, _indexes),
    "manifest": Target(check_manifest, _manifests),
    "features": Target(check_features, _feature_manifests),
    "plan": Target(check_plan, _plans),
    "labels": Target(check_labels, _label_maps),
    "list": Target(check_list, _lists),
    "zip": Target(check_container(".zip"), zips),
    "tar": Target(check_container(".tar"), tars),
    "parquet": Target(check_container(".parquet"), parquets),
    "npz": Target(check_container(".npz"), npz_files),
    "idx": Target(check_container("-images-idx3-ubyte.gz"), idx_files),
    "cifar": Target(check_container(".tar"), cifar_files),
    "tfrecords": Target(check_container(".tfrecord"), tfrecords),
    "mds": Target(check_container(".mds"), mds_files),
    "compressedtar": Target(check_container(".tar.gz"), compressed_tars),
}
