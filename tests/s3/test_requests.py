"""Requests of ten incremental runs at an S3 server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from records.storage import open_storage
from records.storage.names import LEASE
from tests.pipelines.pictures import make_picture
from tests.s3.proxy import Proxy, running
from tests.s3.server import BUCKET, S3Server, environment_for

DAYS = 10
FILES_OF_A_DAY = 1_500
COMPACTED_AFTER, COMPACTED_IN_PLACE_AFTER = 5, 8
SOURCE = ("GET", "new files"), ("LIST", "the source")
MOST_REQUESTS = 36
REQUESTS_FOR_THE_LEASE = 6
"""Acquire and check, two renewals before files are published, release; the others are in time."""


def to_purpose(method: str, path: str, folder: str) -> tuple[str, str]:
    """Return the operation of a request, and the file or folder in `folder` that it is for."""
    parts = urlsplit(path)
    query = parse_qs(parts.query)
    if "list-type" in query:
        name = query.get("prefix", [""])[0].removeprefix(f"{folder}/")
        return ("LIST", "the source" if name.startswith("photos/") else name)
    name = unquote(parts.path).removeprefix(f"/{BUCKET}/").removeprefix(f"{folder}/")
    if method == "GET" and name.startswith("photos/"):
        return SOURCE[0]
    return (method, name)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_append_of_1500_files_makes_few_other_requests(server: S3Server, s3: str) -> None:
    photos, data, folder = open_storage(f"{s3}/photos"), f"{s3}/data", s3.rpartition("/")[2]

    def upload(number: int) -> None:
        photos.replace(f"{('cat', 'dog')[number % 2]}/{number:06d}.png", make_picture(number))

    def run(*command: str) -> tuple[Any, Counter[tuple[str, str]]]:
        """Return the report of a command, and its requests by purpose."""
        with running(Proxy(server.port)) as proxy:
            ended = subprocess.run(
                [sys.executable, "-m", "shardmill", *command, "--json", "--quiet"],
                env={**os.environ, **environment_for(proxy.endpoint)},
                capture_output=True,
                check=True,
            )
        return json.loads(ended.stdout), Counter(to_purpose(*seen, folder) for seen in proxy.seen)

    for day in range(DAYS):
        if day == COMPACTED_AFTER:
            run("compact", data, f"{s3}/compacted")
            data = f"{s3}/compacted"
        if day == COMPACTED_IN_PLACE_AFTER:
            run("compact", data, "--in-place")
        first = day * FILES_OF_A_DAY
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(upload, range(first, first + FILES_OF_A_DAY)))
        report, requests = run("convert", photos.url, data, "--test=0.2", "--append")
        assert report["counts"]["stored"] == FILES_OF_A_DAY
        of_source = [requests.pop(purpose) for purpose in SOURCE]
        assert of_source[0] == FILES_OF_A_DAY
        lease = ("PUT", f"{data.rpartition('/')[2]}/{LEASE}")
        renewals = requests[lease] - REQUESTS_FOR_THE_LEASE
        others = requests.total() - max(0, renewals)
        print(f"day {day + 1}: {others}, LIST of the source {of_source[1]}, {requests}")  # noqa: T201
        assert day == 0 or others <= MOST_REQUESTS
