"""Memory limit for small files that declare huge sizes."""

from __future__ import annotations

import gzip
import io
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from records.format.index import SCHEMA, ShardSummary
from records.format.tfrecord import frame_bytes, masked_crc32c

ROOT = Path(__file__).parents[2]
MB = 1 << 20
# Importing takes addresses for libraries and stacks of threads: the limit comes on top of those.
_CHECK = """
import os, resource, sys
from pathlib import Path
from records.errors import ShardmillError
from tests.fuzz.targets import OneFile, TARGETS
import records.format.index, records.format.manifest, records.format.example, records.format.shard

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10

name, allowed = sys.argv[1], int(sys.argv[2])
data = Path(sys.argv[3]).read_bytes()
TARGETS[name].check(TARGETS[name].seeds()[0])
pages = int(Path("/proc/self/statm").read_text().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (2 << 30),) * 2)
before = peak()
TARGETS[name].check(data)
assert peak() - before < allowed, (peak(), before)
# Not by way of ending threads that Arrow may still be starting, for which the limit leaves no room.
os._exit(0)
"""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc and RLIMIT_AS")


def header(length: int) -> bytes:
    packed = struct.pack("<Q", length)
    return packed + struct.pack("<I", masked_crc32c(packed))


def facts(records: int) -> bytes:
    whole = ShardSummary(
        "train-00000-of-00001.tfrecord", "train", "0" * 32, records, 0, "0" * 32, "0" * 64, {}
    )
    return msgspec.json.encode(whole)


def index_of(rows: int, **columns: pa.Array) -> bytes:
    """Return a valid index whose columns repeat one value, except for the given ones."""
    values = {
        name: pa.DictionaryArray.from_arrays(pa.repeat(pa.scalar(0, pa.int32()), rows), [value])
        for name, value in (("key", "a"), ("format", "png"), ("source_xxh3_128", "0" * 32))
    }
    arrays = []
    for field in SCHEMA:
        if field.name in columns:
            arrays.append(columns[field.name])
        elif field.name in values:
            arrays.append(values[field.name].cast(field.type))
        elif field.name == "changes":
            offsets = pa.repeat(pa.scalar(0, pa.int32()), rows + 1)
            arrays.append(pa.ListArray.from_arrays(offsets, pa.array([], pa.string())))
        else:
            arrays.append(pa.repeat(pa.scalar(64, field.type), rows))
    table = pa.Table.from_arrays(arrays, schema=SCHEMA.with_metadata({b"shardmill": facts(rows)}))
    content = io.BytesIO()
    pq.write_table(table, content, compression="zstd", dictionary_pagesize_limit=1 << 30)
    return content.getvalue()


def many_changes() -> bytes:
    """Return an index of one row with five million equal changes."""
    count = 5_000_000
    same = pa.DictionaryArray.from_arrays(pa.repeat(pa.scalar(0, pa.int8()), count), ["a"])
    offsets = pa.array([0, count], pa.int32())
    return index_of(1, changes=pa.ListArray.from_arrays(offsets, same.cast(pa.string())))


def long_keys() -> bytes:
    """Return an index in which many rows share one long key."""
    key = pa.array(["k" * (1 << 20)])
    rows = 200
    keys = pa.DictionaryArray.from_arrays(pa.repeat(pa.scalar(0, pa.int32()), rows), key)
    return index_of(rows, key=keys.cast(pa.string()))


def packed_zeros(size: int) -> bytes:
    """Return an Example with an int64 list of zeros, one byte each."""

    def field(number: int, content: bytes) -> bytes:
        length, encoded = len(content), b""
        while True:
            encoded += bytes([length & 127 | (128 if length > 127 else 0)])
            length >>= 7
            if not length:
                return bytes([number << 3 | 2]) + encoded + content

    entry = field(1, b"a") + field(2, field(3, field(1, bytes(size))))
    return field(1, field(1, entry))


BOMBS: dict[str, tuple[str, int, Callable[[], bytes]]] = {
    "a record of 2**63 bytes": ("framing", 8 * MB, lambda: header(1 << 63) + b"a"),
    "a record of 1 GiB that is not there": ("framing", 64 * MB, lambda: header(1 << 30) + b"a"),
    "a record of 2**63 bytes between others": (
        "framing",
        8 * MB,
        lambda: frame_bytes(b"a") + header(1 << 63) + frame_bytes(b"b"),
    ),
    "a gzip of zeros": ("compressed", 96 * MB, lambda: gzip.compress(bytes(400 * MB), 1)),
    "a gzip of a record of zeros": (
        "compressed",
        96 * MB,
        lambda: gzip.compress(header(1 << 29) + bytes(400 * MB), 9),
    ),
    "an index of a million rows": ("index", 96 * MB, lambda: index_of(1_000_000)),
    "an index of long keys": ("index", 96 * MB, long_keys),
    "an index of one row with many changes": ("index", 96 * MB, many_changes),
    "a manifest of brackets": (
        "manifest",
        32 * MB,
        lambda: b'{"format_version":1,"x":' + b"[" * (4 * MB),
    ),
    "an Example of nothing but groups": ("example", 32 * MB, lambda: b"\x0b" * (4 * MB)),
    "an Example of nested features": ("example", 32 * MB, lambda: b"\x0a\x7f" * MB),
    "an Example of zeros": ("example", 400 * MB, lambda: packed_zeros(4 * MB)),
    "a plan of brackets": ("plan", 32 * MB, lambda: b"\x91" * (4 * MB)),
    "a list of one long line": ("list", 96 * MB, lambda: b"path,label\n" + b"a" * (8 * MB)),
}
QUICK = ("a record of 2**63 bytes", "many changes")


@pytest.mark.parametrize(
    "bomb",
    [pytest.param(name, marks=() if name.endswith(QUICK) else pytest.mark.slow) for name in BOMBS],
)
def test_reader_of_bomb_file_stays_within_memory_limit(tmp_path: Path, bomb: str) -> None:
    target, allowed_bytes, make = BOMBS[bomb]
    path = tmp_path / "bomb"
    path.write_bytes(make())
    ended = subprocess.run(
        [sys.executable, "-c", _CHECK, target, str(allowed_bytes), str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, (path.stat().st_size, ended.stderr[-2000:])
