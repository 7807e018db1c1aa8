"""Training and batches of records from a dataset in a bucket, by the requests they send."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from records.dataset import open_dataset
from tests.pipelines.pictures import make_folders
from tests.s3 import runs
from tests.s3.server import BUCKET

if TYPE_CHECKING:
    from pathlib import Path

    from tests.s3.server import S3Server

SHARDS = 3


@pytest.fixture(scope="module")
def data(server: S3Server, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Convert 60 images to a dataset in the bucket, without a split `validation`."""
    photos = make_folders(tmp_path_factory.mktemp("photos") / "photos", cat=30, dog=30)
    url = f"s3://{BUCKET}/reading/data"
    command = ("convert", photos, url, f"--shards={SHARDS}", "--quiet")
    assert runs.run(server.environment, *command) == (0, "", "")
    return url


def read_requests(server: S3Server, name: str) -> int:
    """Return how often a part of a file with this in its name was read."""
    lines = server.log.read_text(errors="replace").splitlines()
    return sum("s3_GetObject" in line and name in line for line in lines)


def test_train_cache_of_shards_downloads_each_shard_once(
    server: S3Server, data: str, tmp_path: Path
) -> None:
    environment = {**server.environment, "XDG_CACHE_HOME": str(tmp_path), "KERAS_BACKEND": ""}
    options = ("--model=cnn", "--image-size=16", "--batch-size=8", "--epochs=3", "--json")
    results = []
    counts = Counter[str]()
    for run, cache in (("plain", "none"), ("cached", "shards"), ("again", "shards")):
        before = read_requests(server, ".tfrecord ")
        ended = runs.run(
            environment, "train", data, tmp_path / run, *options, f"--cache={cache}", "--quiet"
        )
        assert ended.status == 0, ended
        results.append(json.loads(ended.output))
        results[-1] = {name: results[-1][name] for name in ("accuracy", "loss", "val_accuracy")}
        counts[run] = read_requests(server, ".tfrecord ") - before
    assert results[0] == results[1] == results[2]
    # Each run reads the first record of each shard; "again" has all copies.
    assert counts["again"] == SHARDS
    assert counts["cached"] == 2 * SHARDS
    assert counts["plain"] > 3 * SHARDS


def test_split_batch_in_bucket_takes_one_request_for_near_records(
    server: S3Server, data: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    train = open_dataset(data)["train"]
    single = [train[number] for number in range(60)]
    before = read_requests(server, ".tfrecord ")
    assert train.__getitems__(range(60)) == single
    assert read_requests(server, ".tfrecord ") - before == SHARDS
