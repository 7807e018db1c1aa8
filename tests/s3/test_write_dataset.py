"""Pipelines of users that write datasets to a bucket."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipelines.convert import convert
from pipelines.options import ConvertOptions
from records.storage import open_storage
from tests.pipelines.pictures import CORRUPT, content_of, make_file, make_folders
from tests.pipelines.transforms.rows import rows_of, write
from tests.s3.outputs import content_at

SAME: dict[str, Any] = {"test": 0.2, "shards": 4}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = make_folders(tmp_path / "photos", cat=70, dog=30)
    make_file(folder, "dog/bad.png", CORRUPT)
    return folder


@pytest.fixture
def expected(photos: Path, tmp_path: Path) -> dict[str, bytes]:
    output = tmp_path / "expected"
    convert(ConvertOptions(source=str(photos), output=str(output), **SAME))
    return content_of(output)


@pytest.mark.parametrize("by_url", [False, True])
def test_write_to_a_bucket_gives_the_bytes_of_the_folder(
    photos: Path, expected: dict[str, bytes], s3: str, *, by_url: bool
) -> None:
    rows = rows_of(photos)
    for row in rows if by_url else ():
        open_storage(f"{s3}/photos").replace(row["key"], row.pop("image"))
        row["uri"] = f"{s3}/photos/{row['key']}"
    write(rows, f"{s3}/data", **SAME)
    assert content_at(open_storage(f"{s3}/data")) == expected
    assert write(rows, f"{s3}/data", **SAME).status == "nothing-to-do"


def test_write_to_a_bucket_after_two_killed_pipelines_gives_the_bytes_of_the_folder(
    photos: Path, expected: dict[str, bytes], s3: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = rows_of(photos)

    def die(*_given: object) -> None:
        raise KeyError("killed")

    for step in ("pipelines.transforms.write.begin_run", "pipelines.writing.publish.write_file"):
        with monkeypatch.context() as patch:
            patch.setattr(step, die)
            with pytest.raises(Exception, match="killed"):
                write(rows[5:], f"{s3}/data", **SAME)
    write(rows, f"{s3}/data", **SAME)
    assert content_at(open_storage(f"{s3}/data")) == expected
