"""Copies of shards in a folder of limited size, shared by threads and processes."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from records.dataset import open_dataset
from records.errors import UsageError
from records.storage import open_storage
from records.storage.atomic import open_locked
from records.storage.local import LocalStorage
from tests.trainers.conftest import write_shapes
from tests.trainers.input.test_pipeline import SHAPE, read
from trainers.input import as_tf_dataset, shard_cache
from trainers.input.pipeline import ShardSource, ordered_batches, shuffled_batches
from trainers.input.selection import select_split
from trainers.input.shard_cache import ShardCache, open_shard_cache
from trainers.input.shuffle import ShuffleSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import BinaryIO

    from records.format.manifest import ShardInfo

SHARDS = 6


class CountingStorage(LocalStorage):
    """A dataset that counts how often each file is opened."""

    opened: Counter[str]

    def open(self, name: str) -> BinaryIO:
        """See `Storage.open`."""
        self.opened[name] += 1
        return super().open(name)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a dataset of six shards with ten images each."""
    folder = tmp_path_factory.mktemp("cached") / "data"
    write_shapes(folder, {"train": [range(n, n + 10) for n in range(0, 10 * SHARDS, 10)]})
    return folder


@pytest.fixture(autouse=True)
def _unlock_copies() -> Iterator[None]:
    yield
    forget_copies()


@pytest.fixture
def storage(data: Path) -> CountingStorage:
    storage = CountingStorage(str(data))
    storage.opened = Counter()
    return storage


def shards_of(data: Path) -> tuple[ShardInfo, ...]:
    return open_dataset(data)["train"].info.shards


def open_cache(
    storage: LocalStorage,
    folder: Path,
    *,
    limit_bytes: int = 10**9,
    on_message: Callable[[str], None] = pytest.fail,
) -> ShardCache:
    return ShardCache(
        storage,
        shards_of(Path(storage.path)),
        folder=folder,
        limit_bytes=limit_bytes,
        on_message=on_message,
    )


def forget_copies() -> None:
    """Unlock the copies that this process found, as if it had ended."""
    shard_cache._in_use.clear()  # noqa: SLF001


def content(cache: ShardCache, name: str) -> bytes:
    path = cache.find(name)
    assert path is not None
    return path.read_bytes()


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def test_shard_cache_downloads_each_shard_once(
    data: Path, storage: CountingStorage, tmp_path: Path
) -> None:
    names = [shard.name for shard in shards_of(data)]
    for _ in range(2):  # the second is another process
        cache = open_cache(storage, tmp_path)
        for name in names * 2:
            assert content(cache, name) == (data / name).read_bytes()
    assert storage.opened == Counter(names)
    assert {path.suffix for path in tmp_path.iterdir()} == {".tfrecord", ""}


def test_shard_cache_over_limit_removes_least_recently_used(
    data: Path, storage: CountingStorage, tmp_path: Path
) -> None:
    shards = shards_of(data)
    limit = sum(shard.bytes for shard in shards[:3])
    for shard in (*shards[:3], shards[0], shards[3]):
        # Another process each time, which no longer reads its copies.
        cache = open_cache(storage, tmp_path, limit_bytes=limit + 100)
        assert cache.find(shard.name)
        forget_copies()
        time.sleep(0.01)  # the next use is later
        assert size_of(tmp_path) <= limit + 100
    kept = {path.stem for path in tmp_path.glob("*.tfrecord")}
    assert {shards[0].xxh3_128, shards[3].xxh3_128} <= kept
    assert shards[1].xxh3_128 not in kept


def test_shard_cache_copies_in_use_are_not_removed(
    data: Path, storage: CountingStorage, tmp_path: Path
) -> None:
    shards = shards_of(data)
    reader = open_cache(storage, tmp_path, limit_bytes=shards[0].bytes)
    path = reader.find(shards[0].name)
    other = open_cache(storage, tmp_path, limit_bytes=shards[0].bytes)
    assert other.find(shards[1].name)
    assert path is not None
    assert path.exists()
    forget_copies()
    assert open_cache(storage, tmp_path, limit_bytes=shards[0].bytes).find(shards[2].name)
    assert [each.stem for each in tmp_path.glob("*.tfrecord")] == [shards[2].xxh3_128]


@pytest.mark.parametrize("damage", ["empty", "flipped", "longer"])
def test_shard_cache_damaged_copy_is_downloaded_again(
    data: Path, storage: CountingStorage, tmp_path: Path, damage: str
) -> None:
    name = shards_of(data)[0].name
    path = open_cache(storage, tmp_path).find(name)
    assert path is not None
    forget_copies()
    damaged = bytearray(path.read_bytes())
    if damage == "empty":
        damaged.clear()
    elif damage == "flipped":
        damaged[50] ^= 1
    else:
        damaged += b"more"
    path.write_bytes(damaged)
    assert content(open_cache(storage, tmp_path), name) == (data / name).read_bytes()
    assert storage.opened[name] == 2


def test_shard_cache_shard_with_other_content_is_not_cached(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    write_shapes(folder, {"train": [range(10), range(10, 20)]})
    shards = shards_of(folder)
    (folder / shards[0].name).write_bytes((folder / shards[1].name).read_bytes())
    messages: list[str] = []
    cache = open_cache(LocalStorage(str(folder)), tmp_path / "cache", on_message=messages.append)
    assert cache.find(shards[0].name) is None
    assert cache.find(shards[0].name) is None
    assert cache.find(shards[1].name) is not None
    (message,) = messages
    assert "differs from the manifest" in message
    assert not list((tmp_path / "cache").glob("*.part"))


def test_shard_cache_folder_cannot_be_written_reads_shards(
    data: Path, storage: CountingStorage, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"")
    messages: list[str] = []
    cache = open_cache(storage, tmp_path / "file", on_message=messages.append)
    assert cache.find(shards_of(data)[0].name) is None
    assert len(messages) == 1


def test_open_shard_cache_limit_below_shard_is_refused(data: Path) -> None:
    with pytest.raises(UsageError, match="larger than the cache"):
        open_shard_cache(open_storage(data), shards_of(data), limit_gb=1e-7, on_message=pytest.fail)


def test_shard_cache_threads_download_each_shard_once(
    data: Path, storage: CountingStorage, tmp_path: Path
) -> None:
    names = [shard.name for shard in shards_of(data)]
    wanted = random.Random(1).choices(names, k=100)
    cache = open_cache(storage, tmp_path)
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda name: content(cache, name), wanted))
    assert found == [(data / name).read_bytes() for name in wanted]
    assert storage.opened == Counter(names)


_READER = """
import random, sys
from pathlib import Path
from records.dataset import open_dataset
from trainers.input.shard_cache import ShardCache
data, folder, limit, seed = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
dataset = open_dataset(data)
shards = dataset["train"].info.shards
draws = random.Random(seed)
print("started", flush=True)
for _ in range(int(sys.argv[5])):
    shard = draws.choice(shards)
    cache = ShardCache(
        dataset.storage, shards, folder=folder, limit_bytes=limit, on_message=sys.exit
    )
    path = cache.find(shard.name)
    assert path.read_bytes() == (data / shard.name).read_bytes()
"""


def start_reader(
    data: Path, folder: Path, limit: int, seed: int, reads: int
) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", _READER, *map(str, (data, folder, limit, seed, reads))]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    return process


@pytest.mark.slow
def test_shard_cache_processes_share_folder_within_limit(data: Path, tmp_path: Path) -> None:
    limit = sum(shard.bytes for shard in shards_of(data)[:3])
    readers = [start_reader(data, tmp_path, limit, seed, 60) for seed in range(3)]
    killed = start_reader(data, tmp_path, limit, 9, 10**6)
    time.sleep(0.3)
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    assert [reader.wait() for reader in readers] == [0, 0, 0]
    for reader in readers:
        reader.communicate()
    # What the killed process left, and what no process uses, goes with the next download.
    first, *_ = shards_of(data)
    (tmp_path / f"{first.xxh3_128}.tfrecord").unlink(missing_ok=True)
    assert open_cache(LocalStorage(str(data)), tmp_path, limit_bytes=limit).find(first.name)
    assert size_of(tmp_path) <= limit


def test_shard_cache_killed_download_is_removed(
    data: Path, storage: CountingStorage, tmp_path: Path
) -> None:
    shards = shards_of(data)
    parts = [tmp_path / f"{shard.xxh3_128}.part" for shard in shards[:2]]
    for part in parts:
        part.write_bytes(b"\0" * 1000)
    limit = shards[0].bytes + shards[2].bytes
    forget_copies()
    assert open_cache(storage, tmp_path, limit_bytes=limit).find(shards[0].name)
    assert open_cache(storage, tmp_path, limit_bytes=limit).find(shards[2].name)
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("suffix", [".part", ".tfrecord"])
def test_shard_cache_link_in_folder_is_not_followed(
    data: Path, storage: CountingStorage, tmp_path: Path, suffix: str
) -> None:
    folder = tmp_path / "cache"
    folder.mkdir()
    own = tmp_path / "thesis.txt"
    own.write_bytes(b"of the user")
    shard = shards_of(data)[0]
    (folder / f"{shard.xxh3_128}{suffix}").symlink_to(own)
    messages: list[str] = []
    assert open_cache(storage, folder, on_message=messages.append).find(shard.name) is None
    assert len(messages) == 1
    assert own.read_bytes() == b"of the user"


def test_shard_cache_entry_that_cannot_be_removed_is_ignored(
    data: Path, storage: CountingStorage, tmp_path: Path
) -> None:
    (tmp_path / "folder.tfrecord").mkdir()
    (tmp_path / "loop.tfrecord").symlink_to("loop.tfrecord")
    shard = shards_of(data)[0]
    assert open_cache(storage, tmp_path, limit_bytes=shard.bytes).find(shard.name)


def test_shard_cache_shard_that_grows_is_read_up_to_its_size(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    write_shapes(folder, {"train": [range(10)]})
    (shard,) = shards_of(folder)
    with (folder / shard.name).open("ab") as file:
        file.truncate(1 << 30)
    messages: list[str] = []
    cache = open_cache(LocalStorage(str(folder)), tmp_path / "cache", on_message=messages.append)
    assert cache.find(shard.name) is None
    assert "differs from the manifest" in messages[0]
    assert not list((tmp_path / "cache").glob("*.*"))


def test_shard_cache_missing_shard_is_named(data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    write_shapes(folder, {"train": [range(10)]})
    cache_messages: list[str] = []
    storage = LocalStorage(str(folder))
    cache = open_cache(storage, tmp_path / "cache", on_message=cache_messages.append)
    (shard,) = shards_of(folder)
    (folder / shard.name).unlink()
    assert cache.find(shard.name) is None
    assert "a file of the dataset is missing" in cache_messages[0]


def test_shard_cache_stalled_download_of_other_process_is_not_awaited(
    data: Path, storage: CountingStorage, tmp_path: Path
) -> None:
    shard = shards_of(data)[0]
    part = tmp_path / f"{shard.xxh3_128}.part"
    other = open_locked(part, os.O_RDWR | os.O_CREAT)
    os.utime(part, (time.time() - 100,) * 2)
    cache = open_cache(storage, tmp_path)
    assert cache.find(shard.name) is None
    os.close(other)
    assert cache.find(shard.name)


def test_shard_cache_damaged_copy_in_use_elsewhere_is_replaced_once(
    data: Path, storage: CountingStorage, tmp_path: Path
) -> None:
    shard = shards_of(data)[0]
    for _ in range(20):
        path = open_cache(storage, tmp_path).find(shard.name)
        forget_copies()
        assert path is not None
        content = bytearray(path.read_bytes())
        content[9] ^= 1
        path.write_bytes(content)
        caches = [open_cache(storage, tmp_path) for _ in range(6)]  # as of six processes
        with ThreadPoolExecutor(6) as threads:
            found = list(threads.map(lambda cache: cache.find(shard.name), caches))
        assert {*found} <= {path, None}
        assert path.read_bytes() == (data / shard.name).read_bytes()


def test_shard_cache_many_caches_of_a_process_keep_few_files_open(
    data: Path, storage: CountingStorage, tmp_path: Path
) -> None:
    forget_copies()
    before = len(list(Path("/dev/fd").iterdir()))
    for _ in range(30):
        cache = open_cache(storage, tmp_path)
        for shard in shards_of(data):
            assert cache.find(shard.name)
    assert len(list(Path("/dev/fd").iterdir())) <= before + 64


def test_shard_source_with_cache_gives_same_batches(
    storage: CountingStorage, tmp_path: Path
) -> None:
    dataset = open_dataset(storage.path)
    train = select_split(dataset, "train")
    plain = ShardSource.from_dataset(dataset, SHAPE)
    cached = replace(plain, cache=open_cache(storage, tmp_path))
    order = ShuffleSpec(seed=4, end_epoch=3)
    assert read(shuffled_batches(cached, train, 8, order)) == read(
        shuffled_batches(plain, train, 8, order)
    )
    assert read(ordered_batches(cached, train, 8)) == read(ordered_batches(plain, train, 8))
    assert storage.opened == Counter(shard.name for shard in train.shards)


@pytest.mark.slow
def test_shard_source_with_full_cache_gives_same_batches(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    write_shapes(folder, {"train": [[number] for number in range(70)]})
    storage = CountingStorage(str(folder))
    storage.opened = Counter()
    forget_copies()
    dataset = open_dataset(folder)
    train = select_split(dataset, "train")
    plain = ShardSource.from_dataset(dataset, SHAPE)
    limit = 2 * max(shard.bytes for shard in train.shards)
    cache = open_cache(storage, tmp_path / "cache", limit_bytes=limit)
    order = ShuffleSpec(seed=4, end_epoch=3)
    assert read(shuffled_batches(replace(plain, cache=cache), train, 8, order)) == read(
        shuffled_batches(plain, train, 8, order)
    )
    assert storage.opened > Counter(shard.name for shard in train.shards)  # some again
    assert len(list((tmp_path / "cache").glob("*.tfrecord"))) <= 66


def test_shard_source_damaged_shard_is_read_without_cache(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    write_shapes(folder, {"train": [range(10), range(10, 20)]})
    dataset = open_dataset(folder)
    train = select_split(dataset, "train")
    name = train.shards[0].name
    damaged = bytearray((folder / name).read_bytes())
    damaged[30] ^= 1
    (folder / name).write_bytes(damaged)
    source = ShardSource.from_dataset(dataset, SHAPE, frozenset({name}))
    cache = open_cache(LocalStorage(str(folder)), tmp_path / "cache")
    selection = train.excluding({(name, 0)})
    expected = read(ordered_batches(source, selection, 4))
    assert len(expected) == 19
    assert read(ordered_batches(replace(source, cache=cache), selection, 4)) == expected


def test_as_tf_dataset_cache_of_shards_reads_copies(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    url = f"memory://{tmp_path.name}"
    remote = open_storage(url)
    for name in LocalStorage(str(data)).list():
        remote.replace(name, (data / name).read_bytes())
    batches = as_tf_dataset(url, image_size=24, cache="shards", shuffle=True, seed=2)
    first, second = ([images for images, _ in batches.as_numpy_iterator()] for _ in range(2))
    for shard in shards_of(data):  # later epochs do not need the store
        remote.remove(shard.name)
    assert not np.array_equal(first[0], second[0])
    assert sum(len(images) for images, _ in batches.as_numpy_iterator()) == 10 * SHARDS
    assert len(list((tmp_path / "shardmill" / "shards").glob("*.tfrecord"))) == SHARDS
