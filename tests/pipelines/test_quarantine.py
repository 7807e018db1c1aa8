"""`--quarantine`: a run with too many rejects publishes the other images."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from pipelines.cli.convert import convert as convert_command
from records import verify
from records.errors import TooManyRejectsError
from records.format import layout
from records.format.manifest import read_manifest
from records.storage import open_storage
from tests.pipelines.conftest import Convert, rejects_of
from tests.pipelines.pictures import CORRUPT, content_of, make_file, make_picture
from tests.pipelines.shards import OPTIONS, SHARDS, identities


@pytest.fixture
def bad(source: Path) -> list[str]:
    """Return the keys of more corrupt images than are allowed."""
    keys = [f"cat/bad{number:02d}.png" for number in range(11)]
    for number, key in enumerate(keys):
        make_file(source, key, CORRUPT + bytes([number]))
    return keys


@pytest.mark.parametrize("options", [{}, {"append": True}, {"processes": 2}])
def test_quarantine_publishes_the_other_images_as_a_higher_limit_does(
    convert: Convert, output: Path, tmp_path: Path, bad: list[str], options: dict[str, Any]
) -> None:
    report = convert(**options, test=0.3, shards=3, quarantine=True)
    assert (report.status, report.quarantined, report.counts.stored) == ("converted", True, 21)
    assert rejects_of(output) == dict.fromkeys(bad, "corrupt")
    assert list(verify(output, decode=True)) == []
    allowed = convert(test=0.3, shards=3, max_rejects=11, output=str(tmp_path / "allowed"))
    assert not allowed.quarantined
    assert content_of(output) == content_of(tmp_path / "allowed")
    saved = msgspec.json.decode((output / layout.REPORT).read_bytes())
    assert saved["quarantined"] is True


def test_quarantine_few_rejects_change_nothing(convert: Convert, bad: list[str]) -> None:
    assert not convert(quarantine=True, max_rejects=len(bad)).quarantined


def test_quarantine_after_too_many_rejects_publishes_what_was_written(
    convert: Convert, output: Path, bad: list[str]
) -> None:
    with pytest.raises(TooManyRejectsError, match="publish the other images with --quarantine"):
        convert(**OPTIONS)
    shards = identities(output)
    assert len(shards) == 2 * len(SHARDS)
    report = convert(**OPTIONS, quarantine=True)
    assert (report.quarantined, report.shards_kept) == (True, len(SHARDS))
    assert identities(output) == shards
    assert list(verify(output)) == []


def test_quarantine_images_without_a_class_are_published_around(
    convert: Convert, source: Path, output: Path
) -> None:
    for number in range(11):
        make_file(source, f"loose{number}.png", make_picture(number))
    planned = convert(quarantine=True, dry_run=True)
    assert (planned.status, planned.quarantined) == ("planned", True)
    assert convert(quarantine=True).counts.stored == 21
    assert set(rejects_of(output).values()) == {"no-class"}


@pytest.mark.parametrize("dry_run", [False, True])
def test_quarantine_dataset_without_images_is_refused(
    convert: Convert, tmp_path: Path, output: Path, dry_run: bool
) -> None:
    for number in range(11):
        path = make_file(tmp_path, f"none/cat/{number}.png", CORRUPT)
        if dry_run:  # it opens no image, but rejects large files
            os.truncate(path, 2_000_000)
    with pytest.raises(TooManyRejectsError) as caught:
        convert(source=str(tmp_path / "none"), quarantine=True, max_file_mb=1, dry_run=dry_run)
    assert "--quarantine" not in str(caught.value)
    assert not (output / layout.MANIFEST).exists()


def test_quarantine_images_are_tried_again_when_their_files_change(
    convert: Convert, source: Path, output: Path, bad: list[str]
) -> None:
    options: dict[str, Any] = {"append": True, "quarantine": True}
    convert(**options)
    report = convert(**options)
    assert (report.status, report.quarantined) == ("nothing-to-do", False)
    make_file(source, bad[3], make_picture(1, size=(9, 9)))
    make_file(source, bad[4], CORRUPT + b"otherwise")
    report = convert(**options)
    assert (report.counts.stored, report.counts.rejected, report.quarantined) == (1, 1, False)
    assert list(verify(output)) == []


def test_quarantine_append_of_rejects_alone_is_published(
    convert: Convert, source: Path, output: Path
) -> None:
    convert()
    for number in range(11):
        make_file(source, f"dog/bad{number}.png", CORRUPT)
    before = content_of(output)
    with pytest.raises(TooManyRejectsError):
        convert(append=True)
    assert content_of(output).items() >= before.items()
    report = convert(append=True, quarantine=True)
    assert (report.status, report.counts.stored, report.quarantined) == ("converted", 0, True)
    assert list(verify(output)) == []


def run(*arguments: object) -> Result:
    return CliRunner().invoke(convert_command, [*map(str, arguments), "--quarantine"])


def test_convert_command_quarantine_prints_rejects_and_ends_with_exit_code_1(
    source: Path, output: Path, bad: list[str]
) -> None:
    metrics = output.with_name("run.prom")
    ended = run(source, output, "--metrics", metrics)
    assert ended.exit_code == 1
    assert 'shardmill_quarantined_files{output="' in (found := metrics.read_text())
    assert float(found.partition("shardmill_quarantined_files{")[2].split()[1]) == 11
    assert ended.stdout.startswith(f"{output}: done, 11 images quarantined\n")
    listed = [line.split()[1] for line in ended.stdout.splitlines() if "  rejected " in line]
    assert listed == [f"{key}:" for key in bad[:5]]
    assert f"all rejects: {output}/{layout.REJECTS}\n" in ended.stdout
    assert ended.stderr == (
        f"shardmill: {output}: 11 of 32 images rejected (11 corrupt), more than allowed; the others"
        f" are published, and {output}/{layout.REJECTS} lists the rejects\n"
    )
    again = run(source, output)
    assert (again.exit_code, again.stderr) == (0, "")
    assert "  note: 11 files rejected by earlier runs (11 corrupt)\n" in again.stdout


@pytest.mark.parametrize("allowed", [False, True])
def test_convert_command_quarantine_json_has_the_field_of_the_report(
    source: Path, output: Path, bad: list[str], allowed: bool
) -> None:
    limit = ["--max-rejects", len(bad)] if allowed else []
    ended = run(source, output, "--json", "--quiet", *limit)
    assert ended.exit_code == (0 if allowed else 1)
    assert json.loads(ended.stdout)["quarantined"] is not allowed
    assert ended.stderr.count("\n") == (0 if allowed else 1)


def test_convert_command_quarantine_dry_run_of_unclassed_images_ends_with_exit_code_1(
    source: Path, output: Path
) -> None:
    for number in range(11):
        make_file(source, f"loose{number}.png", make_picture(number))
    ended = run(source, output, "--dry-run")
    assert ended.exit_code == 1
    assert "11 no-class), more than allowed; the others would be published" in ended.stderr
    assert not output.exists()


def test_quarantine_publishes_edits_of_the_source_too(
    convert: Convert, source: Path, output: Path, bad: list[str]
) -> None:
    for key in bad:
        (source / key).rename(source.with_name(key.replace("/", "-")))
    convert(test=0.3, shards=3)
    before = (output / layout.MANIFEST).read_bytes()
    for key in bad:
        source.with_name(key.replace("/", "-")).rename(source / key)
    (source / "cat/000.png").unlink()
    (source / "cat/001.png").rename(source / "dog/moved.png")
    with pytest.raises(TooManyRejectsError):
        convert(append=True, accept_gone=True)
    assert (output / layout.MANIFEST).read_bytes() == before
    report = convert(append=True, accept_gone=True, quarantine=True)
    assert (report.quarantined, report.removed, report.corrected) == (True, 1, 1)
    counts = report.counts
    assert (counts.found, counts.stored, counts.rejected, counts.known) == (31, 0, 11, 20)
    generation = read_manifest(open_storage(output)).generations[-1]
    assert (generation.removed, generation.relabelled) == (1, 1)
    assert generation.counts == counts.of_generation
    assert list(verify(output, decode=True)) == []
    again = convert(append=True, accept_gone=True)
    assert (again.status, again.quarantined, again.removed) == ("nothing-to-do", False, 0)
    assert (again.counts.found, again.counts.known) == (31, 31)
