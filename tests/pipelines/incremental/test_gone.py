"""Missing files of a source whose records an append removes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from pipelines.compact import compact
from pipelines.edit import remove
from records import open_dataset, verify
from records.errors import InputNotFoundError, UsageError
from records.format import layout
from records.format.manifest import read_manifest
from records.storage import open_storage
from shardmill.cli import shardmill
from tests.pipelines.conftest import Convert, rejects_of
from tests.pipelines.pictures import CORRUPT, content_of, make_file, make_picture


@pytest.fixture
def data(convert: Convert, source: Path, output: Path) -> Path:
    """Return a dataset; two files of its source are missing, and there is a new one."""
    convert(test=0.3, shards=3)
    for key in ("cat/000.png", "dog/003.png"):
        (source / key).rename(source.with_name(key.replace("/", "-")))
    make_file(source, "cat/new.png", make_picture(500))
    return output


def keys_of(dataset: Path) -> set[str]:
    return {record.key for split in open_dataset(dataset).values() for record in split}


def test_append_removes_gone_images_and_adds_new_ones_in_one_generation(
    data: Path, convert: Convert
) -> None:
    before = keys_of(data)
    planned = convert(append=True, accept_gone=True, dry_run=True)
    assert (planned.status, planned.removed, planned.counts.stored) == ("planned", 2, 1)
    assert keys_of(data) == before
    report = convert(append=True, accept_gone=True)
    assert (report.generation, report.removed, report.counts.stored) == (2, 2, 1)
    assert {*report.deleted} == {"cat/000.png", "dog/003.png"}
    (note,) = [note for note in report.notes if note.startswith("2 files deleted from the source;")]
    assert f"`shardmill prune {data} --older-than 0` erases the bytes" in note
    assert keys_of(data) == before - {"cat/000.png", "dog/003.png"} | {"cat/new.png"}
    assert list(verify(data, decode=True)) == []
    generation = read_manifest(open_storage(data)).generations[-1]
    assert (generation.removed, generation.counts.stored) == (2, 1)
    report = convert(append=True, accept_gone=True)
    assert (report.status, report.removed, report.deleted) == ("nothing-to-do", 0, ())


def test_append_without_the_option_keeps_gone_images(data: Path, convert: Convert) -> None:
    before = keys_of(data)
    for _ in range(2):
        report = convert(append=True)
        assert (len(report.deleted), report.removed) == (2, 0)
    assert keys_of(data) == before | {"cat/new.png"}


def test_append_adds_a_gone_image_again_if_its_file_returns(
    data: Path, convert: Convert, source: Path, tmp_path: Path
) -> None:
    convert(append=True, accept_gone=True)
    compact(str(data), str(tmp_path / "new"))
    assert not (tmp_path / "new" / layout.REMOVED).exists()
    source.with_name("cat-000.png").rename(source / "cat/000.png")
    for dataset in (data, tmp_path / "new"):
        report = convert(output=str(dataset), append=True)
        assert (report.status, report.counts.stored) == ("converted", 1)
        assert "cat/000.png" in keys_of(dataset)
        assert list(verify(dataset, decode=True)) == []


def test_append_does_not_add_an_image_that_was_removed_after_it_returned(
    data: Path, convert: Convert, source: Path
) -> None:
    convert(append=True, accept_gone=True)
    source.with_name("cat-000.png").rename(source / "cat/000.png")
    convert(append=True)
    remove(str(data), keys=["cat/000.png"])
    assert convert(append=True).status == "nothing-to-do"


def test_append_of_more_gone_images_than_allowed_removes_nothing(
    data: Path, convert: Convert
) -> None:
    before = content_of(data)
    with pytest.raises(InputNotFoundError, match="too many stored images are missing"):
        convert(append=True, accept_gone=True, max_gone=1)
    assert content_of(data) == before


def test_convert_without_append_refuses_the_option(convert: Convert) -> None:
    with pytest.raises(UsageError, match="--accept-gone needs --append"):
        convert(accept_gone=True)


def test_command_reports_removed_and_corrected_images(data: Path, source: Path) -> None:
    (source / "cat/001.png").rename(source / "dog/moved.png")
    arguments = ["convert", str(source), str(data), "--append", "--accept-gone", "--json"]
    result = CliRunner().invoke(shardmill, arguments)
    report = json.loads(result.stdout)
    assert (report["removed"], report["corrected"], report["counts"]["stored"]) == (2, 1, 1)
    assert report["differences"] == {"changed": 0, "gone": 2, "renamed": 1, "relabelled": 1}


def test_file_rejected_after_its_record_was_removed_stays_a_known_reject(
    convert: Convert, source: Path, output: Path, tmp_path: Path
) -> None:
    make_file(source, "dog/000.png", CORRUPT)
    convert(test=0.3, append=True)
    make_file(source, "dog/000.png", make_picture(501))
    assert convert(append=True).counts.stored == 1
    for key in ("cat/000.png", "dog/000.png"):
        (source / key).unlink()
    assert convert(append=True, accept_gone=True).removed == 2
    for key in ("cat/000.png", "dog/000.png"):
        make_file(source, key, CORRUPT)
    assert convert(append=True).counts.rejected == 2
    compact(str(output), str(tmp_path / "compacted"))
    for dataset in (output, tmp_path / "compacted"):
        report = convert(output=str(dataset), append=True)
        assert (report.status, report.counts.rejected) == ("nothing-to-do", 0)
    assert rejects_of(tmp_path / "compacted").keys() == {"cat/000.png", "dog/000.png"}
