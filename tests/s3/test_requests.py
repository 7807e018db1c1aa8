"""Requests of ten incremental runs at an S3 server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from records.storage import open_storage
from tests.pipelines.pictures import make_picture
from tests.s3.server import S3Server

DAYS = 10
FILES_OF_A_DAY = 1_500
COMPACTED_AFTER = 5
# Each generation after the first has two shards. Later runs read the indexes of all shards.
MOST_REQUESTS, MOST_REQUESTS_PER_GENERATION = 120, 3
MOST_SHARDS_OF_A_NEW_DATASET, FILES_PER_LISTING = 32, 1_000


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_append_of_1500_files_makes_few_other_requests(server: S3Server, s3: str) -> None:
    photos, data = open_storage(f"{s3}/photos"), f"{s3}/data"

    def upload(number: int) -> None:
        photos.replace(f"{('cat', 'dog')[number % 2]}/{number:06d}.png", make_picture(number))

    def run(*command: str) -> tuple[Any, Counter[str]]:
        """Return the report of a command, and its requests by operation and status."""
        before = len(server.requests())
        ended = subprocess.run(
            [sys.executable, "-m", "shardmill", *command, "--json", "--quiet"],
            env={**os.environ, **server.environment},
            capture_output=True,
            check=True,
        )
        return json.loads(ended.stdout), Counter(server.requests()[before:])

    generations = 0  # of the present dataset
    for day in range(DAYS):
        if day == COMPACTED_AFTER:
            run("compact", data, f"{s3}/compacted")
            data, generations = f"{s3}/compacted", 1
        first = day * FILES_OF_A_DAY
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(upload, range(first, first + FILES_OF_A_DAY)))
        report, requests = run("convert", photos.url, data, "--test=0.2", "--append")
        assert report["counts"]["stored"] == FILES_OF_A_DAY
        others = requests.total() - FILES_OF_A_DAY
        listings = report["counts"]["found"] // FILES_PER_LISTING
        allowed = MOST_REQUESTS + MOST_SHARDS_OF_A_NEW_DATASET + listings
        allowed += MOST_REQUESTS_PER_GENERATION * generations
        print(f"day {day + 1}: {others} requests beyond the new files: {requests}")  # noqa: T201
        assert day == 0 or others < allowed
        generations += 1
