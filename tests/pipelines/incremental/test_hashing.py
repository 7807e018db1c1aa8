"""Hashes of the files of a source, in the order of their rows."""

from __future__ import annotations

import tracemalloc
from collections import defaultdict
from random import Random
from threading import Barrier, Lock
from typing import Any

import pytest
import xxhash

from pipelines.incremental import hashing
from pipelines.options import ConvertOptions
from pipelines.sources.base import SourceImage, Sources, new_image_table
from pipelines.sources.containers.member import Container, Member, decode_member

CONTAINERS = tuple(Container(b"%d" % n, 1000, 0, is_unpacked=n % 2 == 0) for n in range(4))
OPTIONS = ConvertOptions(source="memory://photos", output="", workers=3)


def image_of(number: int, random: Random) -> SourceImage:
    container = random.choice([None, *range(len(CONTAINERS))])
    member = None if container is None else Member(container, random.randrange(10**6), 5).encode()
    return SourceImage(b"%06d.png" % number, 0, 5, member=member)


@pytest.mark.parametrize("seed", range(6))
def test_hash_files_of_mixed_sources_are_in_row_order_and_read_in_one_pass(
    monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    random = Random(seed)
    images = [image_of(number, random) for number in range(random.choice([0, 1, 200]))]
    offsets: dict[int, list[int]] = defaultdict(list)
    reading: set[int] = set()
    lock = Lock()

    def read(_files: Any, key: bytes, _url: Any, _size_bytes: int, member: bytes | None) -> bytes:
        place = None if member is None else decode_member(member)
        if place is not None and CONTAINERS[place.container].is_unpacked:
            with lock:
                assert place.container not in reading
                reading.add(place.container)
            offsets[place.container].append(place.offset)
            with lock:
                reading.remove(place.container)
        return key

    monkeypatch.setattr(hashing, "read_image", read)
    sources = Sources((), None, location="memory://photos", containers=CONTAINERS)
    hash_files = hashing.file_hasher(sources, OPTIONS)
    found = hash_files(new_image_table(images).to_table())
    assert found == [xxhash.xxh3_128_digest(image.key) for image in images]
    assert all(them == sorted(them) for them in offsets.values())
    assert len(images) < 200 or len(offsets) == 2


def test_hash_files_next_to_an_unpacked_container_are_read_in_several_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    together = Barrier(3, timeout=20)  # three parallel reads, or an error

    def read(_files: Any, key: bytes, *_: Any, **__: Any) -> bytes:
        together.wait()
        return key

    monkeypatch.setattr(hashing, "read_image", read)
    members = [Member(0, 7, 5).encode(), Member(1, 7, 5).encode(), None]
    images = [SourceImage(b"%d" % n, 0, 5, member=member) for n, member in enumerate(members)]
    sources = Sources((), None, location="memory://photos", containers=CONTAINERS)
    hash_files = hashing.file_hasher(sources, OPTIONS)
    assert len({*hash_files(new_image_table(images).to_table())}) == 3


def test_hash_files_of_many_files_takes_memory_for_few_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hashing, "read_image", lambda *_, **__: b"")
    images = new_image_table(SourceImage(b"%06d.png" % n, 0, 5) for n in range(5000)).to_table()
    sources = Sources((), None, location="memory://photos")
    hash_files = hashing.file_hasher(sources, OPTIONS)
    tracemalloc.start()
    hash_files(images)
    _, most_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most_bytes / len(images) < 1000  # 2,000 if all calls wait at the same time
