"""Tests of the counts of a report, and of the reject limit."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipelines.cli.output import summarize
from pipelines.compact import compact
from pipelines.report import Report, RunCounts
from records.dataset import open_dataset
from records.errors import CorruptDataError, TooManyRejectsError
from records.format import layout
from records.format.image_options import ImageOptions
from records.format.layout import SplitName
from records.verification import verify
from tests.pipelines.conftest import Convert, manifest_of, rejects_of
from tests.pipelines.pictures import (
    CORRUPT,
    content_of,
    make_file,
    make_folders,
    make_picture,
)


def read_list(folder: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in (folder / layout.SKIPPED).read_text().splitlines()]


ACCOUNTED: dict[str, Any] = {"images": ImageOptions(max_pixels=10_000), "max_rejects": 10}


class TestAccounting:
    @pytest.fixture(autouse=True)
    def everything(self, source: Path) -> None:
        make_file(source, "loose.png")
        make_file(source, "cat/empty.png", b"")
        make_file(source, "cat/cut.png", make_picture(1, size=(60, 60))[:3000])
        make_file(source, "dog/bad.png", CORRUPT)
        make_file(source, "dog/ps.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n")
        make_file(source, b"dog/caf\xe9%.png", b"text")
        make_file(source, "dog/large.png", make_picture(2, size=(110, 110)))
        (source / "dog" / "gone.png").symlink_to("nowhere")
        make_file(source, "dog/notes.txt", b"text")
        make_file(source, ".git/HEAD", b"ref")
        make_file(source, "cow/1.png", make_picture(3))
        make_file(source, "exclude", b"text")

    def test_convert_unusable_files_are_rejected_with_their_reason(
        self, convert: Convert, output: Path
    ) -> None:
        report = convert(**ACCOUNTED)
        assert rejects_of(output) == {
            "loose.png": "no-class",
            "cat/empty.png": "empty",
            "cat/cut.png": "truncated",
            "dog/bad.png": "corrupt",
            "dog/ps.eps": "unsupported",
            "dog/caf%E9%25.png": "corrupt",
            "dog/large.png": "too-large",
            "dog/gone.png": "unreadable",
        }
        assert report.rejects_by_reason.keys() >= {"no-class", "empty", "truncated", "too-large"}
        assert sum(report.rejects_by_reason.values()) == report.counts.rejected == 8

    def test_counts_all_outcomes_add_up_to_files_found(
        self, convert: Convert, source: Path, output: Path, tmp_path: Path
    ) -> None:
        exclude = make_file(tmp_path, "exclude.txt", b"dog/000.png\n")
        report = convert(**ACCOUNTED, exclude=str(exclude), classes=("cat", "dog"))
        files = sum(len(names) for _, _, names in os.walk(source))
        counts = manifest_of(output).generations[0].counts
        assert report.counts.of_generation == counts
        assert counts.found == files
        assert (counts.rejected, counts.skipped, counts.excluded) == (8, 3, 2)
        assert counts.stored == files - 13
        stored = sum(len(split) for split in open_dataset(output).values())
        assert stored == counts.stored

    def test_skipped_list_names_each_file_that_is_neither_stored_nor_rejected(
        self, convert: Convert, source: Path, output: Path, tmp_path: Path
    ) -> None:
        os.mkfifo(source / "cat" / "pipe.png")
        (source / "cat" / "again").symlink_to("../dog")
        make_file(source, "dog/.ipynb_checkpoints/000.png")
        exclude = make_file(tmp_path, "exclude.txt", b"dog/000.png\n")
        report = convert(**ACCOUNTED, exclude=str(exclude), classes=("cat", "dog"))
        listed = read_list(output)
        assert [(line["key"], line["outcome"], line["reason"]) for line in listed] == [
            (".git/", "skipped", "hidden"),
            ("cat/again/", "skipped", "listed-elsewhere"),
            ("cat/pipe.png", "skipped", "not-a-file"),
            ("cow/1.png", "excluded", "excluded-class"),
            ("dog/.ipynb_checkpoints/", "skipped", "system"),
            ("dog/000.png", "excluded", "excluded-key"),
            ("dog/notes.txt", "skipped", "not-an-image"),
            ("exclude", "skipped", "not-an-image"),
        ]
        assert (report.counts.skipped, report.counts.excluded) == (6, 2)
        assert report.skipped_by_reason == Counter(line["reason"] for line in listed)
        assert [file.key for file in report.first_skipped] == [it["key"] for it in listed[:5]]
        assert report.skipped_list == layout.SKIPPED
        assert list(verify(output)) == []

    def test_skipped_list_is_the_same_for_a_url_a_resumed_run_and_a_compaction(
        self, convert: Convert, source: Path, output: Path, tmp_path: Path, memory: Any
    ) -> None:
        (source / "dog" / "gone.png").unlink()
        convert(**ACCOUNTED)
        expected = (output / layout.SKIPPED).read_bytes()
        assert len(read_list(output)) == 3
        for path in source.rglob("*"):
            if path.is_file():
                name = os.fsencode(path.relative_to(source)).decode("utf-8", "surrogateescape")
                memory.pipe_file(f"/photos/{name}", path.read_bytes())
        convert(**ACCOUNTED, source="memory://photos", output=str(tmp_path / "remote"))
        assert (tmp_path / "remote" / layout.SKIPPED).read_bytes() == expected
        compact(str(output), str(tmp_path / "compacted"))
        assert (tmp_path / "compacted" / layout.SKIPPED).read_bytes() == expected
        with pytest.raises(TooManyRejectsError):
            convert(**ACCOUNTED | {"max_rejects": 1}, output=str(tmp_path / "resumed"))
        make_file(source, "dog/more.txt", b"text")
        convert(**ACCOUNTED, output=str(tmp_path / "resumed"))
        keys = [line["key"] for line in read_list(tmp_path / "resumed")]
        assert keys == [".git/", "dog/more.txt", "dog/notes.txt", "exclude"]

    def test_skipped_list_of_an_append_is_that_of_its_run(
        self, convert: Convert, source: Path, output: Path, tmp_path: Path
    ) -> None:
        convert(**ACCOUNTED)
        make_file(source, "cat/new.png", make_picture(9))
        make_file(source, "cat/new.txt", b"text")
        report = convert(**ACCOUNTED, append=True)
        assert (report.generation, report.skipped_list) == (2, "generations/0002/skipped.jsonl")
        keys = [line["key"] for line in read_list(output / "generations" / "0002")]
        assert keys == [".git/", "cat/new.txt", "dog/notes.txt", "exclude"]
        assert list(verify(output)) == []
        compact(str(output), str(tmp_path / "compacted"))
        assert [line["key"] for line in read_list(tmp_path / "compacted")] == keys

    def test_dataset_without_skipped_list_is_damaged(
        self, convert: Convert, output: Path, tmp_path: Path
    ) -> None:
        convert(**ACCOUNTED)
        (output / layout.SKIPPED).unlink()
        assert [(found.kind, found.file) for found in verify(output)] == [
            ("missing", layout.SKIPPED)
        ]
        with pytest.raises(CorruptDataError, match="missing"):
            compact(str(output), str(tmp_path / "compacted"))

    def test_dry_run_names_skipped_files_and_writes_no_list(self, convert: Convert) -> None:
        report = convert(**ACCOUNTED, dry_run=True)
        assert [file.key for file in report.first_skipped] == [".git/", "dog/notes.txt", "exclude"]
        assert report.skipped_list is None

    def test_summary_names_skipped_files_and_their_list(
        self, convert: Convert, source: Path
    ) -> None:
        for number in range(5):
            make_file(source, f"cat/{number}.txt", b"text")
        lines = summarize(convert(**ACCOUNTED)).splitlines()
        named = [line for line in lines if line.startswith("  skipped  ")]
        assert [line.split()[1] for line in named] == [
            ".git/:",
            *(f"cat/{number}.txt:" for number in range(4)),
        ]
        assert "not-an-image: neither the extension" in named[1]
        after = lines[lines.index(named[-1]) + 1]
        assert after.strip().startswith("all skipped and excluded files: ")
        assert after.endswith(f"/{layout.SKIPPED}")

    def test_rejects_file_is_sorted_by_key(self, convert: Convert, output: Path) -> None:
        convert(**ACCOUNTED)
        assert list(rejects_of(output)) == sorted(rejects_of(output))

    def test_counts_dry_run_finds_and_skips_the_same_files(self, convert: Convert) -> None:
        foretold = convert(**ACCOUNTED, dry_run=True)
        counts = convert(**ACCOUNTED).counts
        assert foretold.counts.found == counts.found
        assert foretold.counts.skipped == counts.skipped
        assert foretold.counts.stored >= counts.stored  # no image was opened

    def test_counts_in_every_status_are_those_of_the_files_in_the_source(
        self, convert: Convert, source: Path, output: Path, tmp_path: Path
    ) -> None:
        exclude = make_file(tmp_path, "exclude.txt", b"dog/000.png\n")
        options = {**ACCOUNTED, "exclude": str(exclude), "classes": ("cat", "dog")}

        def run(**others: Any) -> tuple[str, RunCounts]:
            report = convert(**options, **others)
            in_folder = sum(len(names) for _, _, names in os.walk(source))
            counts = report.counts
            assert counts.found == in_folder == sum(msgspec.structs.astuple(counts)[1:])
            assert f"{in_folder} files found = {counts.stored} stored + " in summarize(report)
            assert sum(report.skipped_by_reason.values()) == counts.skipped + counts.excluded
            assert sum(report.rejects_by_reason.values()) == counts.rejected
            return report.status, report.counts

        assert run(dry_run=True) == ("planned", RunCounts(33, 26, 2, 3, 2))
        options["max_rejects"] = 1
        with pytest.raises(TooManyRejectsError):
            run()
        options["max_rejects"] = 10
        refused = msgspec.json.decode((output / layout.REPORT).read_bytes(), type=Report)
        assert (refused.status, refused.counts.found) == ("too-many-rejects", 33)
        assert run() == ("converted", RunCounts(33, 20, 8, 3, 2))
        complete = RunCounts(33, 0, 0, 3, 2, known=28)
        for others in ({}, {"append": True}):
            for dry_run in (False, True):
                assert run(**others, dry_run=dry_run) == ("nothing-to-do", complete)
        (source / "cat/000.png").unlink()  # a file that is missing is not found
        (source / "cat/001.png").rename(source / "cat/moved.png")
        assert run(append=True) == ("nothing-to-do", RunCounts(32, 0, 0, 3, 2, known=27))
        make_file(source, "cat/new.png", make_picture(9))
        make_file(source, "cat/bad.png", CORRUPT)
        make_file(source, "cat/notes.txt", b"text")
        make_file(source, "dog/bad.png", make_picture(10))  # repaired
        expected = RunCounts(35, 3, 0, 4, 2, known=26)
        assert run(append=True, dry_run=True) == ("planned", expected)
        assert run(append=True) == ("converted", RunCounts(35, 2, 1, 4, 2, known=26))
        assert run(append=True) == ("nothing-to-do", RunCounts(35, 0, 0, 4, 2, known=29))
        compacted = str(tmp_path / "compacted")
        counts = compact(str(output), compacted).counts
        assert counts == RunCounts(36, 22, 8, 4, 2)
        again = compact(str(output), compacted).counts
        assert again == RunCounts(36, 0, 0, 4, 2, known=30)

    def test_counts_nothing_to_do_notes_rejects_of_earlier_runs(
        self, convert: Convert, source: Path
    ) -> None:
        convert(**ACCOUNTED)
        (note,) = convert(**ACCOUNTED).notes
        assert re.fullmatch(r"8 files rejected by earlier runs \(\d [^()]*, \d [^()]*\)", note)
        for path in source.rglob("*.png"):
            if path.name == "bad.png":
                path.write_bytes(make_picture(10))
        convert(**ACCOUNTED, append=True)
        assert convert(**ACCOUNTED, append=True).notes[0].startswith("7 files rejected by")


class TestTooManyRejects:
    @pytest.fixture(autouse=True)
    def bad(self, source: Path) -> None:
        for number in range(3):
            make_file(source, f"cat/bad{number}.png", CORRUPT)

    def test_reject_limit_exceeded_writes_rejects_and_no_manifest(
        self, convert: Convert, output: Path
    ) -> None:
        with pytest.raises(TooManyRejectsError) as caught:
            convert(max_rejects=2)
        assert caught.value.exit_code == 65
        assert "3 of 24 images" in str(caught.value)
        assert "cat/bad0.png" in str(caught.value)
        assert not (output / layout.MANIFEST).exists()
        assert set(rejects_of(output)) == {f"cat/bad{number}.png" for number in range(3)}
        report = msgspec.json.decode((output / layout.REPORT).read_bytes(), type=Report)
        assert report.status == "too-many-rejects"

    def test_reject_limit_raised_on_rerun_reuses_all_shards(
        self, convert: Convert, output: Path, tmp_path: Path
    ) -> None:
        with pytest.raises(TooManyRejectsError):
            convert(max_rejects=0.1, shards=3)
        shards = {path: path.stat().st_mtime_ns for path in output.glob("*.tfrecord")}
        report = convert(max_rejects=3, shards=3)
        assert (report.status, report.shards_kept) == ("converted", 3)
        assert {path: path.stat().st_mtime_ns for path in output.glob("*.tfrecord")} == shards
        convert(max_rejects=3, shards=3, output=str(tmp_path / "b"))
        assert content_of(output) == content_of(tmp_path / "b")

    def test_reject_limit_default_accepts_ten_rejects(self, convert: Convert, source: Path) -> None:
        for number in range(3, 10):
            make_file(source, f"cat/bad{number}.png", CORRUPT)
        assert convert().counts.rejected == 10

    def test_reject_limit_default_refuses_eleven_rejects(
        self, convert: Convert, source: Path
    ) -> None:
        for number in range(3, 11):
            make_file(source, f"cat/bad{number}.png", CORRUPT)
        with pytest.raises(TooManyRejectsError):
            convert()

    def test_reject_limit_all_images_rejected_is_refused_at_any_limit(
        self, convert: Convert, tmp_path: Path, output: Path
    ) -> None:
        make_file(tmp_path, "none/cat/1.png", CORRUPT)
        with pytest.raises(TooManyRejectsError):
            convert(source=str(tmp_path / "none"), max_rejects=100)
        assert not (output / layout.MANIFEST).exists()

    def test_reject_limit_exceeded_while_listing_is_refused_before_any_shard(
        self, convert: Convert, source: Path, output: Path
    ) -> None:
        for number in range(20):
            make_file(source, f"loose{number}.png")
        for dry_run in (True, False):
            with pytest.raises(TooManyRejectsError, match="each class into a separate folder"):
                convert(dry_run=dry_run)
        assert not list(output.glob("*.tfrecord"))
        assert len(rejects_of(output)) == 20
        assert convert(max_rejects=23).status == "converted"


def test_split_count_reduced_by_rejects_is_noted_in_report(
    convert: Convert, tmp_path: Path
) -> None:
    bad = make_folders(tmp_path / "bad", cat=10)
    (bad / "cat" / "003.png").write_bytes(CORRUPT)
    report = convert(source=str(bad), test=9, max_rejects=1)
    split: SplitName = "test" if report.splits["test"].images == 8 else "train"
    assert report.splits[split].images == {"test": 8, "train": 0}[split]
    assert bool([note for note in report.notes if "not 9" in note]) == (split == "test")
