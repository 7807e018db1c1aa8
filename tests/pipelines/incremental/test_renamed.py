"""Tests of runs after files of the source were renamed or moved."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from pipelines.cli.convert import convert as convert_command
from pipelines.incremental import hashing
from pipelines.report import Report
from pipelines.source_differences import RenamedFile
from pipelines.sources.containers import read_image
from pipelines.sources.containers.byte_window import ContainerBytes
from pipelines.sources.containers.kinds import Kind
from pipelines.sources.reader import UnreadableError
from records import open_dataset, verify
from records.errors import InputNotFoundError, UsageError
from records.format import layout
from tests.pipelines.conftest import Convert
from tests.pipelines.pictures import CORRUPT, content_of, make_file, make_picture
from tests.pipelines.sources.containers.forms import files_of, tar_bytes, zip_bytes


@pytest.fixture
def append(convert: Convert) -> Convert:
    """Append to the dataset; always with the same options."""

    def run(**options: Any) -> Report:
        return convert(**{"test": 0.3, "append": True, **options})

    return run


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the keys of the files that runs hash, in any order."""
    keys: list[str] = []

    def note(*place: Any, **options: Any) -> bytes:
        keys.append(place[1].decode())
        return read_image(*place, **options)

    monkeypatch.setattr(hashing, "read_image", note)
    return keys


def move(source: Path, old: str, new: str) -> RenamedFile:
    (source / new).parent.mkdir(exist_ok=True, parents=True)
    (source / old).rename(source / new)
    return RenamedFile(new, old)


def records_of(output: str | Path) -> dict[str, tuple[str, object, object]]:
    return {
        record.key: (split, record.labels, record.columns)
        for split, records in open_dataset(output).items()
        for record in records
    }


class TestWhatIsRead:
    def test_append_reads_only_new_files_with_the_size_of_a_missing_one(
        self, append: Convert, source: Path, read: list[str]
    ) -> None:
        append()
        make_file(source, "cat/new.png", make_picture(70, size=(30, 30)))
        append()
        read.clear()
        move(source, "cat/000.png", "cat/renamed.png")
        make_file(source, "cat/larger.png", make_picture(71, size=(50, 50)))
        assert append().counts.stored == 1
        assert read == ["cat/renamed.png"]
        assert append().renamed == (RenamedFile("cat/renamed.png", "cat/000.png"),)
        assert read == ["cat/renamed.png"]

    def test_append_second_run_reads_no_file_with_an_old_key(
        self, append: Convert, source: Path, read: list[str]
    ) -> None:
        append()
        for number in range(3):
            move(source, f"cat/00{number}.png", f"dog/moved-{number}.png")
        assert len(append(max_gone=0).renamed) == 3
        assert sorted(read) == [f"dog/moved-{number}.png" for number in range(3)]

    def test_append_nothing_missing_reads_no_new_file(
        self, append: Convert, source: Path, read: list[str]
    ) -> None:
        append()
        shutil.copy(source / "cat/000.png", source / "cat/copy.png")
        report = append()
        assert (report.renamed, report.counts.stored, read) == ((), 1, [])

    @pytest.mark.parametrize("rows", [1, 12])
    def test_append_fingerprints_without_stored_keys_are_read_and_completed(
        self, append: Convert, source: Path, output: Path, read: list[str], rows: int
    ) -> None:
        append()
        expected = move(source, "cat/000.png", "cat/renamed.png")
        append()
        path = output / layout.FINGERPRINTS
        table = pq.read_table(path).drop_columns(["stored_key"])[:rows]
        pq.write_table(table, path)
        assert append().renamed == (expected,)
        assert pq.read_table(path)["stored_key"].drop_null().to_pylist() == [b"cat/000.png"]
        read.clear()
        assert append().renamed == (expected,)
        assert read == []

    def test_append_hostile_stored_keys_never_give_a_record_two_files(
        self, append: Convert, source: Path, output: Path
    ) -> None:
        append()
        move(source, "cat/000.png", "cat/renamed.png")
        append()
        for number in range(3):
            make_file(source, f"cat/new-{number}.png", make_picture(60 + number))
        path = output / layout.FINGERPRINTS
        table = pq.read_table(path)
        new = [b"cat/new-0.png", b"cat/new-1.png", b"cat/new-2.png", b"cat/renamed.png"]
        rows = {
            "key": pa.array([*new, *table["key"].to_pylist()], pa.large_binary()),
            "fingerprint": pa.array([1] * 4 + table["fingerprint"].to_pylist(), pa.uint64()),
            "stored_key": pa.array(
                [b"cat/000.png"] * 3 + [b"no/key.png"] + [b"cat/000.png"] * len(table),
                pa.large_binary(),
            ),
        }
        pq.write_table(pa.table(rows), path)
        report = append()
        assert report.renamed == (RenamedFile("cat/renamed.png", "cat/000.png"),)
        assert report.counts.stored == 3
        assert list(verify(output, decode=True)) == []

    def test_append_unreadable_new_file_is_not_renamed(
        self, append: Convert, source: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*place: Any, **options: Any) -> bytes:
            if place[1] == b"cat/renamed.png":
                raise UnreadableError("Permission denied")
            return read_image(*place, **options)

        append()
        move(source, "cat/000.png", "cat/renamed.png")
        with monkeypatch.context() as patch:
            for module in ("writing.prefetch", "incremental.hashing"):
                patch.setattr(f"pipelines.{module}.read_image", fail)
            report = append()
        assert (report.renamed, report.deleted) == ((), ("cat/000.png",))
        assert report.rejects_by_reason == {"unreadable": 1}
        report = append()
        assert (report.status, len(report.renamed)) == ("nothing-to-do", 1)
        assert append().status == "nothing-to-do"


class TestReports:
    def test_append_renamed_files_change_nothing_in_the_dataset(
        self, append: Convert, source: Path, output: Path
    ) -> None:
        append()
        before = content_of(output)
        expected = [
            move(source, "cat/000.png", "cat/again.png"),
            move(source, "dog/001.png", "dog/deeper/below/002.png"),
        ]
        fingerprints = output / layout.FINGERPRINTS
        saved = fingerprints.read_bytes()
        planned = append(dry_run=True)
        assert fingerprints.read_bytes() == saved
        report = append()
        assert fingerprints.read_bytes() != saved
        assert report.status == planned.status == "nothing-to-do"
        assert report.renamed == planned.renamed == (*expected,)
        assert (report.deleted, report.relabelled) == ((), ())
        assert content_of(output) == before
        assert report.notes[0] == (
            "2 files renamed in the source; the dataset keeps the records; the first: "
            "cat/again.png (stored as cat/000.png)"
        )

    def test_append_file_moved_to_another_class_gives_its_record_this_class(
        self, append: Convert, source: Path, output: Path
    ) -> None:
        append()
        before = records_of(output)
        expected = move(source, "cat/001.png", "dog/moved.png")
        planned = append(dry_run=True)
        assert records_of(output) == before
        report = append()
        assert (planned.status, report.status) == ("planned", "converted")
        for each in (planned, report):
            assert (each.renamed, each.relabelled) == ((expected,), ("dog/moved.png",))
            assert (each.corrected, each.removed, each.counts.stored) == (1, 0, 0)
        image, _, *others = before["cat/001.png"]
        assert records_of(output) == before | {"cat/001.png": (image, (1,), *others)}
        renamed = "1 of them with another class, group or split"
        assert [note.split("; the first")[0] for note in report.notes] == [
            f"1 file renamed in the source; the dataset keeps the records, {renamed}",
            "1 file with another class in the source; their records get this class",
        ]
        report = append()
        assert (report.status, report.renamed) == ("nothing-to-do", (expected,))
        assert (report.relabelled, report.corrected) == ((), 0)

    def test_convert_command_prints_renamed_files_as_json_and_in_the_log(
        self, append: Convert, source: Path, output: Path
    ) -> None:
        append()
        move(source, "cat/000.png", "dog/a\tb.png")
        arguments = [str(source), str(output), "--append"]
        shown = CliRunner().invoke(convert_command, arguments).stdout
        assert "note: 1 file renamed in the source" in shown
        assert "\t" not in shown
        printed = json.loads(CliRunner().invoke(convert_command, [*arguments, "--json"]).stdout)
        assert printed["renamed"] == [{"key": "dog/a\tb.png", "stored_key": "cat/000.png"}]
        assert printed["gone"] == []

    def test_append_files_renamed_beyond_the_limit_of_a_report_are_counted(
        self, append: Convert, source: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("pipelines.source_differences.MOST_KEYS", 5)
        append()
        for number in range(9):
            move(source, f"dog/00{number}.png", f"cat/moved-{number}.png")
        report = append(max_gone=0)
        assert (len(report.renamed), len(report.relabelled), report.deleted) == (5, 5, ())
        assert any(note.startswith("9 files renamed") for note in report.notes)


class TestMissingFiles:
    def test_append_renamed_class_folder_has_a_hint_and_map_keeps_the_old_name(
        self, append: Convert, source: Path, output: Path
    ) -> None:
        append()
        before = records_of(output)
        move(source, "cat", "big cats")
        with pytest.raises(UsageError, match=r"such as --rename-class 'cat=big cats', or --map"):
            append()
        report = append(map=("big cats=cat",), max_gone=0)
        assert (report.status, len(report.renamed)) == ("nothing-to-do", 12)
        assert (report.relabelled, report.deleted) == ((), ())
        assert records_of(output) == before
        make_file(source, "big cats/new.png", make_picture(99))
        assert append(map=("big cats=cat",), max_gone=0).counts.stored == 1
        assert records_of(output)["big cats/new.png"][1] == (0,)

    def test_append_class_that_no_folder_lacks_has_no_hint_of_a_map(
        self, append: Convert, source: Path
    ) -> None:
        append()
        make_file(source, "bee/0.png")
        with pytest.raises(UsageError, match="--allow-new-classes") as raised:
            append()
        assert "--map" not in str(raised.value)

    def test_append_max_gone_counts_files_that_are_not_renamed(
        self, append: Convert, source: Path, output: Path
    ) -> None:
        append()
        for number in range(6):
            move(source, f"cat/00{number}.png", f"cat/renamed-{number}.png")
        for number in range(3):
            (source / f"dog/00{number}.png").unlink()
        before = content_of(output)
        with pytest.raises(InputNotFoundError, match=r"got 3, the first: dog/000.png; "):
            append()
        assert content_of(output) == before
        assert len(append(max_gone=3).renamed) == 6

    def test_append_renamed_file_that_is_excluded_is_not_missing(
        self, append: Convert, source: Path, tmp_path: Path
    ) -> None:
        append()
        expected = [move(source, f"cat/00{n}.png", f"cat/renamed-{n}.png") for n in range(4)]
        assert append(max_gone=0).renamed == (*expected,)
        names = "".join(f"{file.key}\n" for file in expected)
        exclude = make_file(tmp_path, "exclude.txt", names.encode())
        for number in range(2):
            make_file(source, f"dog/new-{number}.png", make_picture(80 + number))
            report = append(exclude=str(exclude), max_gone=0)
            assert (report.renamed, report.deleted, report.counts.stored) == ((), (), 1)
        make_file(source, "cat/renamed-0.png", make_picture(90))
        report = append(max_gone=0)
        assert (report.renamed, report.modified) == ((*expected,), ("cat/renamed-0.png",))
        assert append(map=("cat=",), max_gone=1).deleted == ()

    @pytest.mark.parametrize("rejected", [False, True])
    def test_append_renamed_file_that_the_listing_rejects_is_not_missing(
        self, convert: Convert, source: Path, tmp_path: Path, rejected: bool
    ) -> None:
        keys = sorted(str(path.relative_to(source)) for path in source.rglob("*.png"))
        listed = tmp_path / "list.csv"

        def run() -> Report:
            labels = [key[:3] if key != "cat/renamed.png" else label for key in keys]
            lines = [f"{key},{text}" for key, text in zip(keys, labels, strict=True)]
            listed.write_text("\n".join(["path,label", *lines]))
            return convert(list=str(listed), append=True, max_gone=0)

        label = "cat"
        run()
        move(source, keys[0], "cat/renamed.png")
        keys[0] = "cat/renamed.png"
        assert len(run().renamed) == 1
        label = "" if rejected else "dog"
        report = run()
        assert report.deleted == ()
        assert len(report.renamed) == len(report.relabelled) == (not rejected)


class TestWhichFile:
    def test_append_copy_of_a_renamed_file_is_new(
        self, append: Convert, source: Path, output: Path
    ) -> None:
        append()
        expected = move(source, "cat/000.png", "cat/renamed.png")
        append()
        shutil.copy(source / "cat/renamed.png", source / "cat/a.png")
        os.utime(source / "cat/renamed.png", (5, 5))
        report = append()
        assert (report.renamed, report.counts.stored) == ((expected,), 1)

    def test_append_old_file_that_returns_makes_the_renamed_one_new(
        self, append: Convert, source: Path, output: Path
    ) -> None:
        append()
        move(source, "cat/000.png", "cat/renamed.png")
        append()
        shutil.copy(source / "cat/renamed.png", source / "cat/000.png")
        report = append()
        assert (report.renamed, report.counts.stored, report.modified) == ((), 1, ())
        assert append().status == "nothing-to-do"
        assert len(records_of(output)) == 22

    def test_append_file_that_moves_back_is_forgotten_under_its_other_key(
        self, append: Convert, source: Path
    ) -> None:
        append()
        make_file(source, "cat/new.png", make_picture(60))
        append()
        move(source, "cat/000.png", "cat/renamed.png")
        make_file(source, "cat/000.png", make_picture(61))
        assert append().modified == ("cat/000.png",)
        move(source, "cat/renamed.png", "cat/000.png")
        report = append()
        assert (report.status, report.modified, report.renamed) == ("nothing-to-do", (), ())
        (source / "cat/000.png").unlink()
        make_file(source, "cat/renamed.png", make_picture(62))
        report = append()
        assert (report.counts.stored, report.deleted) == (1, ("cat/000.png",))

    def test_append_equal_files_are_paired_with_equal_labels(
        self, append: Convert, source: Path
    ) -> None:
        same = make_picture(50)
        make_file(source, "cat/same.png", same)
        make_file(source, "dog/same.png", same)
        append()
        move(source, "dog/same.png", "cat/z.png")
        move(source, "cat/same.png", "dog/a.png")
        report = append()
        assert report.renamed == (
            RenamedFile("cat/z.png", "cat/same.png"),
            RenamedFile("dog/a.png", "dog/same.png"),
        )
        assert report.relabelled == ()

    def test_append_thousands_of_equal_files_are_paired_in_the_order_of_keys(
        self, append: Convert, source: Path, output: Path
    ) -> None:
        picture = make_picture(50)
        for number in range(1000):
            make_file(source, f"cat/same-{number:04}.png", picture)
        append()
        for number in range(1000):
            move(source, f"cat/same-{number:04}.png", f"dog/other-{999 - number:04}.png")
        for number in range(7):
            make_file(source, f"dog/other-x{number}.png", picture)
        report = append(max_gone=0)
        assert report.counts.stored == 7
        assert report.renamed == tuple(
            RenamedFile(f"dog/other-{number:04}.png", f"cat/same-{number:04}.png")
            for number in range(1000)
        )

    def test_append_rejected_name_of_a_renamed_file_stores_nothing_twice(
        self, append: Convert, source: Path, output: Path
    ) -> None:
        make_file(source, "cat/bad.png", CORRUPT)
        append()
        expected = move(source, "cat/000.png", "cat/bad.png")
        for _ in range(2):
            report = append()
            assert (report.status, report.renamed) == ("nothing-to-do", (expected,))
        assert len(records_of(output)) == 21

    def test_append_new_name_with_another_case_is_renamed(
        self, append: Convert, source: Path
    ) -> None:
        append()
        expected = move(source, "cat/000.png", "cat/000.PNG")
        assert append().renamed == (expected,)

    def test_append_hard_link_is_a_copy_until_the_old_name_is_removed(
        self, append: Convert, source: Path
    ) -> None:
        append()
        os.link(source / "cat/000.png", source / "cat/link.png")
        assert append(dry_run=True).counts.stored == 1
        (source / "cat/000.png").unlink()
        assert append().renamed == (RenamedFile("cat/link.png", "cat/000.png"),)


class TestSources:
    def test_append_moved_file_with_another_group_is_relabelled(
        self, append: Convert, source: Path, output: Path
    ) -> None:
        for number in range(4):
            make_file(source, f"cat/g{number}/x.png", make_picture(40 + number))
        append(group_by="parent")
        before = records_of(output)
        move(source, "cat/g0/x.png", "cat/g1/y.png")
        report = append(group_by="parent")
        assert (len(report.renamed), report.relabelled) == (1, ("cat/g1/y.png",))
        move(source, "cat/g1/y.png", "cat/g0/z.png")
        report = append()
        assert (len(report.renamed), report.relabelled) == (1, ())
        assert records_of(output) == before

    def test_append_file_moved_to_another_split_folder_keeps_its_split(
        self, convert: Convert, source: Path, output: Path, tmp_path: Path
    ) -> None:
        split = tmp_path / "split"
        for number, path in enumerate(sorted(source.rglob("*.png"))):
            part = "test" if number % 3 == 0 else "train"
            make_file(split, f"{part}/{path.parent.name}/{path.name}", path.read_bytes())
        convert(source=str(split), append=True)
        before = records_of(output)
        expected = move(split, "train/cat/001.png", "test/cat/001.png")
        report = convert(source=str(split), append=True)
        assert (report.renamed, report.relabelled) == ((expected,), ("test/cat/001.png",))
        assert records_of(output) == before

    @pytest.mark.parametrize("stratify", [False, True])
    def test_append_list_with_new_paths_keeps_labels_groups_and_columns(
        self, convert: Convert, source: Path, output: Path, tmp_path: Path, stratify: bool
    ) -> None:
        keys = sorted(str(path.relative_to(source)) for path in source.rglob("*.png"))
        rows = {key: f"{key[:3]}{';odd' * (number % 2)},g{number % 5},{number}"
                for number, key in enumerate(keys)}  # fmt: skip
        listed = tmp_path / "list.csv"
        options: dict[str, Any] = {
            "list": str(listed), "append": True, "test": 0.3, "label_separator": ";",
            "keep_columns": "all", "stratify": stratify,
        }  # fmt: skip

        def run() -> Report:
            lines = [f"{key},{row}" for key, row in rows.items()]
            listed.write_text("\n".join(["path,label,group,age", *lines]))
            return convert(**options)

        run()
        before = records_of(output)
        for number, key in enumerate(keys[:8]):
            rows[move(source, key, f"moved/{number}.png").key] = rows.pop(key)
        rows["moved/0.png"] = rows["moved/0.png"].replace("cat", "dog")
        rows["moved/1.png"] = rows["moved/1.png"].replace("g1", "g2")
        report = run()
        assert (report.status, len(report.renamed)) == ("converted", 8)
        assert report.relabelled == ("moved/0.png", "moved/1.png")
        assert report.corrected == 1
        after = records_of(output)
        assert {key for key in before if after[key] != before[key]} == {keys[0]}
        report = run()
        assert (report.status, report.relabelled) == ("nothing-to-do", ("moved/1.png",))

    @pytest.mark.parametrize("name", ["photos.zip", "photos.tar", "photos.tar.gz", "*.tar"])
    def test_append_member_with_another_path_or_archive_is_renamed(
        self, convert: Convert, source: Path, output: Path, tmp_path: Path, name: str
    ) -> None:
        place = tmp_path / "archives"
        place.mkdir()

        def pack() -> None:
            files = files_of(source)
            if name == "*.tar":
                half = len(files) // 2 + 3 * (output.exists())
                (place / "a.tar").write_bytes(tar_bytes(files[:half]))
                (place / "b.tar").write_bytes(tar_bytes(files[half:]))
            elif name == "photos.zip":
                (place / name).write_bytes(zip_bytes(files))
            else:
                mode = "w:gz" if name.endswith("gz") else "w"
                (place / name).write_bytes(tar_bytes(files, mode))

        options: dict[str, Any] = {"source": str(place / name), "append": True, "test": 0.3}
        pack()
        convert(**options)
        before = records_of(output)
        expected = [
            move(source, "cat/000.png", "cat/renamed.png"),
            move(source, "cat/001.png", "dog/moved.png"),
        ]
        pack()
        for status, relabelled in (("converted", ("dog/moved.png",)), ("nothing-to-do", ())):
            report = convert(**options)
            assert (report.status, report.renamed) == (status, (*expected,))
            assert report.relabelled == relabelled
        after = records_of(output)
        assert {key for key in before if after[key] != before[key]} == {"cat/001.png"}

    @pytest.mark.parametrize("left", ["dangling link", "link to itself", "fifo"])
    def test_append_renamed_file_with_a_reject_at_its_old_path_is_renamed(
        self, append: Convert, source: Path, output: Path, left: str
    ) -> None:
        append()
        before = records_of(output)
        expected = move(source, "cat/000.png", "cat/renamed.png")
        old = source / expected.stored_key
        if left == "fifo":
            os.mkfifo(old)
        else:
            old.symlink_to(old if left == "link to itself" else source / "absent.png")
        for _ in range(2):
            report = append(max_gone=0)
            assert (report.status, report.renamed) == ("nothing-to-do", (expected,))
            assert report.deleted == ()
        assert records_of(output) == before

    def test_append_moved_file_with_its_old_row_in_the_list_is_renamed(
        self, convert: Convert, source: Path, output: Path, tmp_path: Path
    ) -> None:
        rows = [f"{key},{key.split('/')[0]}" for key, _ in files_of(source)]
        path = tmp_path / "list.csv"
        options: dict[str, Any] = {"list": str(path), "append": True, "test": 0.3}
        path.write_text("\n".join(["path,label", *rows]))
        convert(**options)
        before = records_of(output)
        expected = move(source, "cat/000.png", "moved/0.png")
        path.write_text("\n".join(["path,label", *rows, "moved/0.png,cat"]))
        for _ in range(2):
            report = convert(**options, max_gone=0)
            assert (report.status, report.renamed) == ("nothing-to-do", (expected,))
            assert report.deleted == ()
        assert records_of(output) == before

    @pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
    @pytest.mark.parametrize("removed", [0, 1])
    def test_append_images_of_a_renamed_numpy_file_are_renamed(
        self, convert: Convert, output: Path, tmp_path: Path, save: Any, removed: int
    ) -> None:
        place = tmp_path / "arrays"
        place.mkdir()
        rng = np.random.default_rng(0)
        arrays: dict[str, Any] = {}
        for split, count in (("train", 8), ("test", 5)):
            arrays[f"x_{split}"] = rng.integers(0, 256, (count, 9, 7, 3), np.uint8)
            arrays[f"y_{split}"] = np.arange(count) % 2
        options: dict[str, Any] = {"source": str(place), "append": True, "max_gone": 1.0}
        save(place / "first.npz", **arrays)
        convert(**options)
        before = records_of(output)
        (place / "first.npz").unlink()
        save(place / "second.npz", **{name: array[removed:] for name, array in arrays.items()})
        for _ in range(2):
            report = convert(**options)
            assert (report.status, report.relabelled) == ("nothing-to-do", ())
            assert len(report.renamed) == 13 - 2 * removed
            assert len(report.deleted) == 2 * removed
        assert records_of(output) == before

    def test_append_images_of_a_compressed_array_are_read_in_one_pass(
        self, convert: Convert, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        passes: list[str] = []
        unpack = Kind.unpack

        def count(kind: Kind, data: ContainerBytes) -> Iterator[bytes]:
            passes.append(data.shown)
            return unpack(kind, data)

        place = tmp_path / "arrays"
        place.mkdir()
        pixels = np.random.default_rng(0).integers(0, 256, (9, 200, 200, 3), np.uint8)
        np.savez_compressed(place / "first.npz", x=pixels, y=np.arange(9) % 2)
        options: dict[str, Any] = {"source": str(place), "append": True}
        convert(**options, workers=4)
        (place / "first.npz").rename(place / "second.npz")
        monkeypatch.setattr(Kind, "unpack", count)
        assert len(convert(**options, workers=4).renamed) == 9
        assert len(passes) == 1

    def test_append_files_of_a_url_are_recognised(
        self, convert: Convert, source: Path, memory: Any, put: Callable[[], None]
    ) -> None:
        options: dict[str, Any] = {
            "source": "memory://photos", "output": "memory://data", "append": True,
        }  # fmt: skip
        put()
        convert(**options)
        expected = move(source, "cat/000.png", "dog/moved.png")
        put()
        for status in ("converted", "nothing-to-do"):
            report = convert(**options)
            assert (report.status, report.renamed) == (status, (expected,))
        memory.rm_file(f"/data/{layout.FINGERPRINTS}")
        assert convert(**options).renamed == (expected,)

    @pytest.fixture
    def put(self, source: Path, memory: Any) -> Callable[[], None]:
        """Return a function that copies the source to memory://photos."""

        def upload() -> None:
            if memory.exists("/photos"):
                memory.rm("/photos", recursive=True)
            for key, content in files_of(source):
                memory.pipe_file(f"/photos/{key}", content)

        return upload
