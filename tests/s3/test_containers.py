"""Containers in a bucket: same bytes as the local folder, also after kills."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from records.format import layout
from records.storage import open_storage
from tests.pipelines.pictures import content_of
from tests.pipelines.sources.containers.forms import FORMS
from tests.s3 import runs
from tests.s3.conftest import FLAGS
from tests.s3.outputs import content_at, shards_at
from tests.s3.server import S3Server


def count_reads(server: S3Server) -> int:
    """Return the number of reads that the server has answered."""
    return sum(request.startswith("GetObject ") for request in server.requests())


def upload(photos: Path, form: str, url: str) -> str:
    """Write photos in a form into a bucket, and return the source."""
    with tempfile.TemporaryDirectory() as place:
        source = FORMS[form](photos, Path(place))
        for name, content in content_of(Path(place)).items():
            open_storage(url).replace(name, content)
    return f"{url}/{source}"


@pytest.mark.parametrize("form", FORMS)
def test_convert_s3_container_killed_and_resumed_gives_bytes_of_local_folder(
    photos: Path, server: S3Server, s3: str, expected: Mapping[str, bytes], form: str
) -> None:
    source = upload(photos, form, f"{s3}/place")
    target = open_storage(f"{s3}/data")
    command = ("convert", source, target.url, *FLAGS)
    process = runs.start(server.environment, *command)
    runs.wait_for(lambda: len(shards_at(target)) >= 2, process)
    process.kill()
    process.communicate()
    assert target.stat(layout.MANIFEST) is None
    kept = shards_at(target)
    time.sleep(3.5)  # the lease of the killed run has expired then
    assert runs.run_when_free(server.environment, *command) == (0, "", "")
    assert content_at(target) == expected
    assert kept.items() <= shards_at(target).items()


def test_convert_s3_container_is_read_in_parts(
    photos: Path, server: S3Server, s3: str, tmp_path: Path
) -> None:
    """A container is listed by a few requests, and each image is one request."""
    source = upload(photos, "zip", f"{s3}/place")
    before = count_reads(server)
    ended = runs.run(server.environment, "convert", source, tmp_path / "data", *FLAGS)
    assert ended == (0, "", "")
    assert 1500 <= count_reads(server) - before < 1520
