"""Shards for the tests of resuming, and modification of their source files."""

from __future__ import annotations

import os
from pathlib import Path

from records.format import layout
from records.format.layout import index_name
from records.storage import open_storage
from tests.pipelines.pictures import make_picture

OPTIONS = {"shards": 4}
SHARDS = [layout.shard_name("train", number, 4) for number in range(4)]


def identities(output: Path) -> dict[str, tuple[int, int]]:
    return {
        name: (status.st_ino, status.st_mtime_ns)
        for name in (*SHARDS, *map(index_name, SHARDS))
        if (output / name).exists()
        for status in [(output / name).stat()]
    }


def touch(path: Path) -> None:
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 10**9))


def picture_in(output: Path, source: Path, shard: int = 0) -> Path:
    """Return the file of the first image of a shard."""
    records = open_storage(output)
    from records.format.index import read_index

    return source / read_index(records, index_name(SHARDS[shard])).rows()[0].key


def rewrite(path: Path) -> None:
    """Replace the content by another picture of the same length and format."""
    before = path.read_bytes()
    for seed in range(100_000, 101_000):
        content = make_picture(seed)
        if len(content) == len(before) and content != before:
            path.write_bytes(content)
            touch(path)
            return
    raise AssertionError("no picture of that length")
