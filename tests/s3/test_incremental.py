"""Incremental runs from bucket to bucket, by the files they read."""

from __future__ import annotations

import json
import re
from pathlib import Path

from records.storage import open_storage
from tests.pipelines.pictures import content_of, make_folders, make_picture
from tests.s3 import runs
from tests.s3.server import S3Server

_READ = re.compile(r"s3_GetObject .*?/photos/(\S+)")


def test_append_s3_source_every_run_reads_only_new_files(
    server: S3Server, s3: str, tmp_path: Path
) -> None:
    photos = open_storage(f"{s3}/photos")
    for key, content in content_of(make_folders(tmp_path / "photos", cat=20, dog=20)).items():
        photos.replace(key, content)

    def reads(*command: str) -> tuple[int, list[str]]:
        """Return the number of new images of a run, and the keys that the run has read."""
        before = len(_READ.findall(server.log.read_text(errors="replace")))
        ended = runs.run(server.environment, *command, "--json", "--quiet")
        assert ended.status == 0, ended
        found = _READ.findall(server.log.read_text(errors="replace"))[before:]
        return json.loads(ended.output)["counts"]["stored"], sorted(found)

    def append(name: str) -> tuple[int, list[str]]:
        return reads("convert", photos.url, f"{s3}/{name}", "--test=0.2", "--append")

    def add(number: int) -> str:
        photos.replace(key := f"cat/new-{number}.png", make_picture(number, size=(40, 30)))
        return key

    stored, first = append("data")
    assert (stored, len(first)) == (40, 40)
    photos.remove("dog/003.png")
    for number in range(2):
        assert append("data") == (0, [])
        new = add(number)
        assert append("data") == (1, [new])
    assert reads("compact", f"{s3}/data", f"{s3}/compacted") == (42, [])
    assert append("compacted") == (0, [])
    new = add(2)
    assert append("compacted") == (1, [new])
