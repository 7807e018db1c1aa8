"""Reading by number with few open files."""

from __future__ import annotations

import os
import pickle
import random
import resource
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from records.dataset import open_dataset
from records.storage import open_storage
from tests.datasets import DatasetBuilder, Source, encode_picture

ROOT = Path(__file__).parents[3]
SHARDS = 40
LIMIT = 24


@contextmanager
def limit_open_files(files: int) -> Iterator[None]:
    """Allow so many more open files than there are now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = len(list(Path("/dev/fd").iterdir()))
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + files, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a dataset of many shards with one record each."""
    folder = tmp_path_factory.mktemp("shards")
    picture = encode_picture(1)
    shards = [[Source(b"cat/%d.png" % shard, 0, picture)] for shard in range(SHARDS)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _descriptor: None)
        DatasetBuilder(open_storage(folder)).build({"train": shards, "test": shards[:1]})
    return folder


def run_alone(function: str, folder: Path) -> None:
    """Call a function of this module in a process of its own.

    This process may have many open files, of which a limit is a part.
    """
    program = f"import sys; from {__name__} import {function}; {function}(sys.argv[1])"
    subprocess.run([sys.executable, "-c", program, str(folder)], cwd=ROOT, check=True)


def test_split_more_shards_than_files_may_be_open_reads_every_number(folder: Path) -> None:
    run_alone("read_with_few_files", folder)


def read_with_few_files(folder: str) -> None:
    numbers = random.Random(1).choices(range(SHARDS), k=2 * SHARDS)
    with limit_open_files(LIMIT):
        whole = open_dataset(folder)
        slices = [open_dataset(folder, shard_index=i, shard_count=3) for i in range(3)]
        for number in numbers:
            assert whole["train"][number].key == f"cat/{number}.png"
            each = slices[number % 3]["train"]
            assert each[number % len(each)].class_name == "cat"


def test_split_read_by_threads_stays_within_open_files(folder: Path) -> None:
    run_alone("read_by_threads", folder)


def read_by_threads(folder: str) -> None:
    train = open_dataset(folder)["train"]
    numbers = random.Random(2).choices(range(SHARDS), k=10 * SHARDS)
    with limit_open_files(LIMIT), ThreadPoolExecutor(8) as threads:
        for number, record in zip(numbers, threads.map(train.__getitem__, numbers), strict=True):
            assert record.key == f"cat/{number}.png"


def list_open_shards(folder: Path) -> list[str]:
    """Return the names of the files of a folder that this process has open.

    Files of other tests may be open until the garbage collector finds them.
    """
    targets = (Path("/dev/fd") / name for name in os.listdir("/dev/fd"))  # noqa: PTH208
    paths = [descriptor.resolve() for descriptor in targets if descriptor.exists()]
    return sorted(path.name for path in paths if folder.resolve() in path.parents)


def test_split_deleted_or_pickled_keeps_no_files_open(folder: Path) -> None:
    train = open_dataset(folder)["train"]
    for number in range(20):
        assert train[number]
    assert len(list_open_shards(folder)) == 20
    copy = pickle.loads(pickle.dumps(train))
    assert len(list_open_shards(folder)) == 20
    assert copy[3] == train[3]
    assert len(list_open_shards(folder)) == 21
    del train, copy
    assert list_open_shards(folder) == []


def test_split_last_used_shards_stay_open(folder: Path) -> None:
    train = open_dataset(folder)["train"]
    train.max_open_shards = 2
    for number in (0, 1, 0, 2):
        assert train[number]
    assert list_open_shards(folder) == [train.info.shards[number].name for number in (0, 2)]
