"""Tests of append: new images are added, existing files stay unchanged."""

from __future__ import annotations

import os
import re
import zlib
from itertools import product
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.clean import clean
from pipelines.compact import compact
from pipelines.planning.split_hash import from_threshold, hash_keys, split_numbers
from pipelines.report import Report, RunCounts
from pipelines.sources.containers import read_image
from pipelines.sources.reader import UnreadableError
from records import open_dataset, verify
from records.errors import CorruptDataError, InputNotFoundError, LockedError, UsageError
from records.format import layout
from records.format.layout import SPLITS
from records.format.manifest import read_manifest
from records.images import encoder_versions
from records.images.large_file import LARGE_FILE_BYTES
from records.stats import stats
from records.storage import open_storage
from tests.pipelines.conftest import Convert
from tests.pipelines.pictures import CORRUPT, content_of, make_file, make_picture


@pytest.fixture
def append(convert: Convert) -> Convert:
    """Append to the dataset; always with the same options."""

    def run(**options: Any) -> Report:
        return convert(**{"test": 0.3, "append": True, **options})

    return run


def keys_of(output: Path) -> dict[str, set[str]]:
    dataset = open_dataset(output)
    return {split: {record.key for record in records} for split, records in dataset.items()}


def add(source: Path, *keys: str) -> None:
    for key in keys:
        make_file(source, key, make_picture(zlib.crc32(key.encode())))


class TestWhatIsNew:
    def test_append_new_files_are_written_as_a_new_generation(
        self, append: Convert, source: Path, output: Path
    ) -> None:
        first = append()
        before = content_of(output)
        add(source, "cat/new.png", "dog/new.png", "dog/newer.png")
        report = append()
        assert (first.generation, report.generation, report.counts.stored) == (1, 2, 3)
        after = content_of(output)
        changed = {name for name in before if after[name] != before[name]}
        assert changed == {layout.MANIFEST, layout.CROISSANT, layout.CARD}
        assert after["generations/0001/dataset.json"] == before[layout.MANIFEST]
        assert {name.rpartition("/")[0] for name in after.keys() - before.keys()} == {
            "generations/0001",
            "generations/0002",
            "generations/0002/index",
        }
        assert sum(map(len, keys_of(output).values())) == 24
        assert list(verify(output, decode=True)) == []

    def test_append_no_new_files_writes_nothing(
        self, append: Convert, source: Path, output: Path
    ) -> None:
        append()
        add(source, "cat/new.png")
        append()
        before = {path: path.stat().st_mtime_ns for path in output.rglob("*")}
        report = append()
        assert report.status == "nothing-to-do"
        assert report.counts == RunCounts(22, 0, 0, 0, 0, known=22)
        assert {path: path.stat().st_mtime_ns for path in output.rglob("*")} == before

    def test_append_dry_run_reports_plan_and_writes_nothing(
        self, append: Convert, source: Path, output: Path
    ) -> None:
        append()
        add(source, "cat/new.png")
        before = content_of(output)
        report = append(dry_run=True)
        assert (report.status, report.generation, report.counts.stored) == ("planned", 2, 1)
        assert content_of(output) == before

    def test_append_dataset_opened_before_keeps_reading_old_records(
        self, append: Convert, source: Path, output: Path
    ) -> None:
        append()
        old = open_dataset(output)
        add(source, *(f"cat/new-{number}.png" for number in range(20)))
        append()
        assert sum(len(list(records)) for records in old.values()) == 21
        assert sum(len(list(records)) for records in open_dataset(output).values()) == 41

    def test_append_output_url_adds_a_generation(
        self, append: Convert, source: Path, memory: Any
    ) -> None:
        append(output="memory://data")
        add(source, "cat/new.png")
        assert append(output="memory://data").generation == 2
        assert list(verify("memory://data")) == []


class TestSplits:
    @pytest.mark.parametrize("options", [{"test": 0.3}, {"test": 5}, {"test": 0.3, "seed": 4}])
    def test_append_splits_follow_thresholds_of_first_generation(
        self, append: Convert, source: Path, output: Path, options: dict[str, Any]
    ) -> None:
        append(**options)
        first = keys_of(output)
        (cut,) = read_manifest(open_storage(output)).thresholds
        add(source, *(f"cat/new-{number}.png" for number in range(60)))
        append(**options)
        found = keys_of(output)
        assert all(first[split] <= found[split] for split in first)
        thresholds = from_threshold(cut)
        for split, keys in found.items():
            hashes = hash_keys((key.encode() for key in keys), options.get("seed", 0))
            assert {SPLITS[number] for number in split_numbers(hashes, thresholds)} == {split}

    def test_append_stratified_new_class_is_split_by_fraction(
        self, append: Convert, source: Path, output: Path
    ) -> None:
        append(stratify=True)
        add(source, *(f"emu/{number}.png" for number in range(100)))
        append(stratify=True, allow_new_classes=True)
        test = read_manifest(open_storage(output)).splits["test"]
        assert 15 <= test.class_records[2] <= 45
        assert len(read_manifest(open_storage(output)).thresholds) == 3

    @pytest.mark.parametrize("options", [{}, {"test": 4}])
    def test_append_stratified_no_new_images_writes_nothing(
        self, append: Convert, options: dict[str, Any]
    ) -> None:
        append(stratify=True, **options)
        assert append(stratify=True, **options).status == "nothing-to-do"


class TestClasses:
    def test_append_new_class_is_refused_by_default(
        self, append: Convert, source: Path, output: Path
    ) -> None:
        append()
        before = content_of(output)
        add(source, "bee/0.png")
        with pytest.raises(UsageError, match="got bee"):
            append()
        assert content_of(output) == before

    def test_append_allow_new_classes_adds_labels_after_existing_ones(
        self, append: Convert, source: Path, output: Path
    ) -> None:
        append()
        add(source, "bee/0.png", "cat/new.png")
        append(allow_new_classes=True)
        assert open_dataset(output).labels == ("cat", "dog", "bee")
        assert (output / layout.LABELS).read_text() == "0:cat\n1:dog\n2:bee\n"
        assert list(verify(output, decode=True)) == []
        add(source, "ant/0.png")
        append(allow_new_classes=True)
        assert open_dataset(output).labels == ("cat", "dog", "bee", "ant")
        assert list(verify(output)) == []

    def test_append_classes_option_excludes_new_class(self, append: Convert, source: Path) -> None:
        append(classes=("cat", "dog"))
        add(source, "bee/0.png", "cat/new.png")
        report = append(classes=("cat", "dog"))
        assert (report.counts.stored, report.counts.excluded) == (1, 1)

    def test_append_deleted_class_keeps_its_label(
        self, append: Convert, source: Path, output: Path
    ) -> None:
        append()
        for path in (source / "cat").iterdir():
            path.unlink()
        (source / "cat").rmdir()
        add(source, "dog/new.png")
        report = append(max_gone=1.0)
        assert len(report.deleted) == 12
        assert open_dataset(output).labels == ("cat", "dog")


class TestFilesThatAreNotAsTheyWere:
    def test_append_modified_files_are_reported_every_run_and_not_rewritten(
        self, append: Convert, source: Path, output: Path
    ) -> None:
        append()
        before = content_of(output)
        make_file(source, "cat/000.png", make_picture(77, size=(9, 9)))
        same_size = source / "cat" / "001.png"
        same_size.write_bytes(same_size.read_bytes()[::-1])
        os.utime(same_size, (1, 1))
        for _ in range(2):
            report = append()
            assert report.status == "nothing-to-do"
            assert report.modified == ("cat/000.png", "cat/001.png")
            assert "2 files modified in the source" in report.notes[0]
        add(source, "dog/new.png")
        assert append().modified == ("cat/000.png", "cat/001.png")
        assert append().modified == ("cat/000.png", "cat/001.png")
        stays = before.keys() - {layout.MANIFEST, layout.CROISSANT, layout.CARD}
        assert {name: content_of(output)[name] for name in stays} == {
            name: before[name] for name in stays
        }

    def test_append_deleted_files_are_reported_every_run_and_kept(
        self, append: Convert, source: Path, output: Path
    ) -> None:
        append()
        (source / "dog" / "003.png").unlink()
        for _ in range(2):
            assert append().deleted == ("dog/003.png",)
        assert sum(map(len, keys_of(output).values())) == 21

    def test_append_touched_files_are_rehashed_only_once(
        self, append: Convert, source: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        append()
        add(source, "cat/new.png")
        append()
        for number in range(3):
            os.utime(source / "cat" / f"00{number}.png", (5, 5))
        read: list[bytes] = []

        def count(*given: Any, **options: Any) -> bytes:
            read.append(given[1])
            return bytes(real(*given, **options))

        from pipelines.incremental import hashing as module
        from pipelines.sources.containers import read_image as real

        monkeypatch.setattr(module, "read_image", count)
        assert append().modified == ()
        assert sorted(read) == [b"cat/000.png", b"cat/001.png", b"cat/002.png"]
        assert append().modified == ()
        assert len(read) == 3

    @pytest.mark.parametrize("content", [b"", b"no Parquet file"])
    def test_append_damaged_fingerprints_still_detects_modified_files(
        self,
        append: Convert,
        source: Path,
        output: Path,
        content: bytes,
        logged: pytest.LogCaptureFixture,
    ) -> None:
        append()
        add(source, "cat/new.png")
        append()
        (output / layout.FINGERPRINTS).write_bytes(content)
        assert append().modified == ()
        assert (output / layout.FINGERPRINTS).read_bytes() == content
        assert f"{layout.FINGERPRINTS}: the file contains no fingerprints" in logged.text
        changed = source / "cat" / "000.png"
        changed.write_bytes(changed.read_bytes()[::-1])
        assert append().modified == ("cat/000.png",)


@pytest.mark.parametrize("case", [*product(range(6), [False, True])])
def test_append_changed_classes_are_applied_and_groups_and_splits_are_reported(
    convert: Convert, source: Path, output: Path, tmp_path: Path, case: tuple[int, bool]
) -> None:
    seed, multi_label = case
    random = Random(seed)
    keys = sorted(str(path.relative_to(source)) for path in source.rglob("*.png"))
    choices = {
        "label": ["cat", "dog", "cat;dog", "dog;cat"] if multi_label else ["cat", "dog"],
        "split": ["train", "test"],
        "group": ["", "g1", "g2"],
    }
    rows = {key: {name: random.choice(them) for name, them in choices.items()} for key in keys}
    listed = tmp_path / "list.csv"

    def run() -> Report:
        lines = [",".join((key, *row.values())) for key, row in rows.items()]
        listed.write_text("\n".join(["path,label,split,group", *lines]))
        separator = {"label_separator": ";"} if multi_label else {}
        return convert(list=str(listed), append=True, **separator)

    def meaning(row: dict[str, str]) -> dict[str, object]:
        return {**row, "label": set(row["label"].split(";"))}

    run()
    assert run().relabelled == ()
    expected, corrected = set[str](), set[str]()
    for key in random.sample(keys, 8):
        name = random.choice([*choices])
        changed = {**rows[key], name: random.choice(choices[name])}
        if meaning(changed) != meaning(rows[key]):
            expected.add(key)
            corrected |= {key} if name == "label" else set()
        rows[key] = changed
    report = run()
    assert set(report.relabelled) == expected
    assert report.corrected == len(corrected)
    for text, keys_of_note in (
        ("another class", corrected),
        ("another group or split", expected - corrected),
    ):
        assert sum(text in note for note in report.notes) == bool(keys_of_note)
    found = [record for split in open_dataset(output).values() for record in split]
    assert {record.key: {*record.class_names} for record in found} == {
        key: meaning(row)["label"] for key, row in rows.items()
    }
    report = run()
    assert set(report.relabelled) == expected - corrected
    assert (report.status, report.corrected) == ("nothing-to-do", 0)


def test_append_image_without_a_split_in_the_source_is_not_relabelled(
    append: Convert,
) -> None:
    append(group_by="([0-9]+)[.]")
    assert append(group_by="([0-9]+)[.]").relabelled == ()
    assert append().relabelled == ()  # the setting of the dataset applies


@pytest.mark.parametrize("limit", [None, 0.0, 0.2, 1.0, 0, 3, 100])
@pytest.mark.parametrize("gone", [0, 1, 3, 7, 12])
def test_append_more_missing_images_than_max_gone_writes_nothing(
    append: Convert, source: Path, output: Path, gone: int, limit: float | None
) -> None:
    stored = append().counts.stored
    before = content_of(output)
    paths = sorted(source.rglob("*.png"))
    for path in paths[:gone]:
        path.unlink()
    add(source, "dog/new.png")
    options = {} if limit is None else {"max_gone": limit}
    limit = 0.1 if limit is None else limit
    allowed = int(limit * stored) if isinstance(limit, float) else limit
    if gone <= allowed:
        report = append(**options)
        assert (len(report.deleted), report.counts.stored) == (gone, 1)
        return
    first = re.escape(str(paths[0].relative_to(source)))
    with pytest.raises(InputNotFoundError, match=f"got {gone}, the first: {first}; "):
        append(**options)
    assert content_of(output) == before
    with pytest.raises(InputNotFoundError):
        append(**options, dry_run=True)
    assert append(max_gone=gone).counts.stored == 1


def test_append_excluded_files_are_not_missing(
    append: Convert, source: Path, tmp_path: Path
) -> None:
    append()
    keys = sorted(str(path.relative_to(source)) for path in source.rglob("*.png"))
    exclude = make_file(tmp_path, "exclude.txt", "\n".join(keys[:9]).encode())
    (source / keys[-1]).unlink()
    assert append(exclude=str(exclude)).deleted == (keys[-1],)
    assert append(map=("dog=",)).deleted == (keys[-1],)


def test_append_explicit_train_images_in_another_split_are_not_relabelled(
    convert: Convert, source: Path, tmp_path: Path
) -> None:
    divided = tmp_path / "divided"
    for number, path in enumerate(sorted(source.rglob("*.png"))):
        split = "test" if number % 3 == 0 else "train"
        make_file(divided, f"{split}/{path.parent.name}/{path.name}", path.read_bytes())
    options: dict[str, Any] = {"source": str(divided), "validation": 0.4, "append": True}
    assert convert(**options).splits["validation"].images
    assert convert(**options).relabelled == ()


def test_append_unread_member_of_a_container_is_not_retried(
    convert: Convert, source: Path, tmp_path: Path
) -> None:
    bloated = make_picture(3) + bytes(LARGE_FILE_BYTES + (1 << 20))
    contents = [bloated, *(make_picture(number) for number in range(4))]
    images = [{"bytes": it, "path": f"cat/{number}.png"} for number, it in enumerate(contents)]
    pq.write_table(pa.table({"image": images, "label": ["cat"] * 5}), tmp_path / "data.parquet")
    options: dict[str, Any] = {"source": str(tmp_path / "data.parquet"), "append": True}
    assert convert(**options, max_rejects=1).counts.rejected == 1
    assert [convert(**options).status for _ in range(2)] == ["nothing-to-do"] * 2


def test_append_known_rejects_that_cannot_be_read_stay_rejects(
    append: Convert, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(12):
        make_file(source, f"cat/bad{number}.png", CORRUPT + bytes([number]))
    append(max_rejects=12)

    def fail(*_place: Any, **_options: Any) -> bytes:
        raise UnreadableError("Permission denied")

    add(source, "cat/new.png")
    with monkeypatch.context() as patch:
        patch.setattr("pipelines.incremental.hashing.read_image", fail)
        assert append(max_rejects=0).counts.stored == 1
    assert append().status == "nothing-to-do"


class TestRejects:
    def test_append_rejected_file_is_stored_only_after_modification(
        self, append: Convert, source: Path, output: Path
    ) -> None:
        make_file(source, "cat/bad.png", CORRUPT)
        make_file(source, "loose.png", make_picture(3))
        assert append().counts.rejected == 2
        assert append().status == "nothing-to-do"
        make_file(source, "cat/bad.png", make_picture(5, size=(8, 8)))
        report = append()
        assert (report.counts.stored, report.counts.rejected) == (1, 0)
        assert append().status == "nothing-to-do"
        assert list(verify(output)) == []

    @pytest.mark.parametrize("appended_between", [0, 1], ids=["first run", "later run"])
    @pytest.mark.parametrize("kind", ["corrupt", "truncated", "empty", "too-large"])
    def test_append_repaired_reject_is_retried_alone(
        self, append: Convert, source: Path, kind: str, appended_between: int
    ) -> None:
        picture = make_picture(5, size=(40, 40))
        size = 1_100_000 if kind == "too-large" else 10_000
        good = picture + bytes(size - len(picture))  # bytes after the image are ignored
        bad = {
            "corrupt": CORRUPT + bytes(len(good) - len(CORRUPT)),
            "truncated": picture[: len(picture) // 2] + bytes(size - len(picture) // 2),
            "empty": b"",
            "too-large": good,
        }[kind]
        options = {"max_file_mb": 1} if kind == "too-large" else {}
        path = make_file(source, "cat/bad.png", bad)
        make_file(source, "cat/other.png", CORRUPT)
        assert append(**options).counts.rejected == 2
        for number in range(appended_between):
            add(source, f"cat/new{number}.png")
            append(**options)
        before = path.stat()
        make_file(source, "cat/bad.png", good[:900_000])
        if kind in {"corrupt", "truncated"}:
            assert path.stat().st_size == before.st_size
        os.utime(path, ns=(before.st_mtime_ns + 10**9,) * 2)
        report = append(**options)
        assert (report.counts.stored, report.counts.rejected) == (1, 0)
        assert append(**options).status == "nothing-to-do"

    @pytest.mark.parametrize("appended_between", [0, 1], ids=["first run", "later run"])
    @pytest.mark.parametrize("kind", ["corrupt", "truncated"])
    def test_append_reject_repaired_without_a_new_size_or_time_is_stored(
        self, append: Convert, source: Path, output: Path, kind: str, appended_between: int
    ) -> None:
        picture = make_picture(5, size=(40, 40))
        bad = CORRUPT if kind == "corrupt" else picture[: len(picture) // 2]
        path = make_file(source, "cat/bad.png", bad.ljust(10_000, b"\0"))
        assert append().counts.rejected == 1
        for number in range(appended_between):
            add(source, f"cat/new{number}.png")
            append()
        before = path.stat()
        path.write_bytes(picture.ljust(10_000, b"\0"))  # bytes after the image are ignored
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        report = append()
        assert (report.counts.stored, report.counts.rejected) == (1, 0)
        assert append().status == "nothing-to-do"
        assert list(verify(output)) == []

    def test_append_file_that_could_not_be_read_is_stored_once_it_can(
        self, append: Convert, source: Path, output: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*place: Any, **options: Any) -> bytes:
            if place[1] == b"cat/000.png":
                raise UnreadableError("Permission denied")
            return read_image(*place, **options)

        with monkeypatch.context() as patch:
            for module in ("writing.prefetch", "incremental.hashing"):
                patch.setattr(f"pipelines.{module}.read_image", fail)
            assert append().rejects_by_reason == {"unreadable": 1}
            assert append().status == "nothing-to-do"
        report = append()
        assert (report.counts.stored, report.counts.rejected) == (1, 0)
        assert append().status == "nothing-to-do"
        assert list(verify(output)) == []

    def test_append_unsupported_file_is_retried_once_after_a_change_of_the_libraries(
        self, append: Convert, source: Path, output: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        make_file(source, "cat/photo.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
        make_file(source, "cat/bad.png", CORRUPT)
        assert append().rejects_by_reason == {"unsupported": 1, "corrupt": 1}
        assert append().status == "nothing-to-do"
        with monkeypatch.context() as patch:
            versions = {**encoder_versions(), "another": "1"}
            patch.setattr("pipelines.incremental.ingested.encoder_versions", lambda: versions)
            report = append()
        assert (report.counts.stored, report.rejects_by_reason) == (0, {"unsupported": 1})
        assert append().status == "nothing-to-do"
        assert list(verify(output)) == []

    def test_append_known_rejects_are_not_retried_after_an_unrelated_change(
        self, append: Convert, source: Path, output: Path
    ) -> None:
        for number in range(15):
            make_file(source, f"cat/bad{number}.png", CORRUPT + bytes([number]))
        append(max_rejects=20)
        for path in source.rglob("*.png"):
            os.utime(path, (5, 5))
        assert append().status == "nothing-to-do"
        make_file(source, "cat/000.png", b"changed")
        report = append()
        assert (report.status, report.modified) == ("nothing-to-do", ("cat/000.png",))
        assert [each.number for each in read_manifest(open_storage(output)).generations] == [1]

    def test_append_file_without_a_class_that_the_list_later_labels_is_added(
        self, convert: Convert, source: Path, tmp_path: Path
    ) -> None:
        keys = [f"cat/00{number}.png" for number in range(3)] + ["dog/000.png"]
        rows = "".join(f"{key},{key[:3]}\n" for key in keys)
        listed = make_file(tmp_path, "list.csv", f"path,label\n{rows}dog/001.png,\n".encode())
        assert convert(list=str(listed), append=True).counts.stored == 4
        listed.write_text(f"path,label\n{rows}dog/001.png,dog\n")
        assert convert(list=str(listed), append=True).counts.stored == 1
        assert convert(list=str(listed), append=True).status == "nothing-to-do"

    def test_append_only_rejects_succeeds_with_no_stored_images(
        self, append: Convert, source: Path, output: Path
    ) -> None:
        append()
        make_file(source, "cat/bad.png", CORRUPT)
        make_file(source, "loose.png", make_picture(3))
        report = append()
        assert (report.status, report.counts.stored, report.counts.rejected) == ("converted", 0, 2)
        assert append().status == "nothing-to-do"
        assert list(verify(output)) == []

    def test_append_only_images_without_a_class_writes_a_generation_without_shards(
        self, append: Convert, source: Path, output: Path, tmp_path: Path
    ) -> None:
        append()
        make_file(source, "loose.png", make_picture(3))
        report = append()
        assert (report.generation, report.counts) == (2, RunCounts(22, 0, 1, 0, 0, known=21))
        assert append().status == "nothing-to-do"
        assert list(verify(output, decode=True)) == []
        add(source, "cat/new.png")
        assert append().generation == 3
        assert compact(str(output), str(tmp_path / "compacted")).counts == RunCounts(
            23, 22, 1, 0, 0
        )

    @pytest.mark.parametrize("repaired", range(4))
    def test_append_repaired_rejects_count_every_file_once(
        self, append: Convert, source: Path, output: Path, tmp_path: Path, repaired: int
    ) -> None:
        exclude = make_file(tmp_path, "exclude.txt", b"dog/000.png\n")
        make_file(source, "notes.txt", b"no image")
        for number in range(3):
            make_file(source, f"cat/bad{number}.png", CORRUPT)
        append(exclude=str(exclude))
        add(source, "cat/new.png")
        append(exclude=str(exclude))
        for number in range(repaired):
            make_file(source, f"cat/bad{number}.png", make_picture(number, size=(8, 8)))
        if repaired:
            report = append(exclude=str(exclude))
            files = sum(path.is_file() for path in source.rglob("*"))
            known = files - repaired - 2
            assert report.counts == RunCounts(files, repaired, 0, 1, 1, known)
        left = 3 - repaired
        report = append(exclude=str(exclude))
        files = sum(path.is_file() for path in source.rglob("*"))
        assert report.status == "nothing-to-do"
        assert report.counts == RunCounts(files, 0, 0, 1, 1, files - 2)
        assert stats(str(output)).rejects == ({"corrupt": left} if left else {})
        compacted = compact(str(output), str(tmp_path / "compacted"))
        assert compacted.counts == RunCounts(files, files - left - 2, left, 1, 1)
        assert list(verify(output)) == []


class TestOptions:
    @pytest.mark.parametrize("excluded", [1, 3])
    @pytest.mark.parametrize("runs", [1, 2])
    def test_append_without_the_exclude_file_notes_the_images_it_adds(
        self, append: Convert, source: Path, tmp_path: Path, excluded: int, runs: int
    ) -> None:
        keys = [f"dog/00{number}.png" for number in range(excluded)]
        exclude = make_file(tmp_path, "exclude.txt", "\n".join(keys).encode())
        for number in range(runs):
            add(source, f"cat/new{number}.png")
            report = append(exclude=str(exclude))
            assert not any("excluded" in note for note in report.notes)
        add(source, "cat/newest.png")
        for dry_run in (True, False):
            report = append(dry_run=dry_run)
            assert report.counts.stored == excluded + 1
            (note,) = [note for note in report.notes if "excluded by the last run" in note]
            assert note.startswith(f"{excluded} new image")

    def test_append_omitted_options_are_taken_from_dataset(
        self, append: Convert, source: Path, output: Path
    ) -> None:
        append(seed=3, shards=2)
        add(source, "cat/new.png", "dog/new.png", "dog/newer.png")
        report = append(test=None)
        assert report.counts.stored == 3
        assert max(split.shards for split in report.splits.values()) == 1
        settings = read_manifest(open_storage(output)).settings
        assert (settings.seed, settings.shards) == (3, 2)

    @pytest.mark.parametrize("other", [{"seed": 9}, {"test": 0.4}, {"shard_mb": 1}])
    def test_append_conflicting_options_are_refused(
        self, append: Convert, other: dict[str, Any]
    ) -> None:
        append(seed=3)
        with pytest.raises(UsageError, match="was written with a different --"):
            append(**other)

    def test_convert_allow_new_classes_without_append_is_refused(self, convert: Convert) -> None:
        with pytest.raises(UsageError, match="--append"):
            convert(allow_new_classes=True)


class TestKilledRuns:
    @pytest.fixture
    def killed(
        self, append: Convert, source: Path, output: Path, monkeypatch: pytest.MonkeyPatch
    ) -> Path:
        """Return an output whose second run was killed before its manifest."""

        class KilledError(Exception):
            pass

        def die(*_: Any, **__: Any) -> None:
            raise KilledError

        append()
        add(source, "cat/new.png", "dog/new.png")
        with monkeypatch.context() as patch:
            patch.setattr("pipelines.convert.publish", die)
            with pytest.raises(KilledError):
                append()
        assert (output / "generations" / "0002").is_dir()
        return output

    def test_append_killed_run_is_resumed(self, killed: Path, append: Convert) -> None:
        report = append()
        assert (report.generation, report.counts.stored) == (2, 2)
        assert report.shards_kept > 0
        assert list(verify(killed)) == []

    def test_append_killed_run_with_newer_files_starts_over(
        self, killed: Path, append: Convert, source: Path
    ) -> None:
        add(source, "dog/newer.png")
        report = append()
        assert (report.generation, report.counts.stored, report.shards_kept) == (2, 3, 0)
        assert list(verify(killed)) == []

    def test_append_killed_run_with_no_new_files_left_is_cleaned_up(
        self, killed: Path, append: Convert, source: Path
    ) -> None:
        (source / "cat" / "new.png").unlink()
        (source / "dog" / "new.png").unlink()
        assert append().status == "nothing-to-do"
        assert list(verify(killed)) == []
        assert not (killed / layout.WORK_FOLDER).exists()

    def test_clean_killed_append_restores_last_generation(self, killed: Path) -> None:
        assert list(verify(killed)) == []
        assert clean(str(killed)).files >= 2
        assert list(verify(killed)) == []
        assert sum(map(len, keys_of(killed).values())) == 21
        with pytest.raises(InputNotFoundError):
            clean(str(killed))

    def test_append_killed_first_run_with_newer_files_starts_over(
        self, append: Convert, source: Path, output: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as patch:
            patch.setattr("pipelines.convert.publish", lambda *_, **__: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                append()
        add(source, "cat/new.png")
        assert append().counts.stored == 22
        assert list(verify(output)) == []


@pytest.mark.parametrize("group_by", ["parent", r"/(\w+)-\d+\.png$"])
@pytest.mark.parametrize("repeated", [True, False])
def test_append_keeps_groups_whole_with_or_without_the_option(
    convert: Convert, source: Path, output: Path, group_by: str, repeated: bool
) -> None:
    def keys(number: int) -> list[str]:
        return [f"cat/g{group}/p{group}-{number}.png" for group in range(8)]

    options: dict[str, Any] = {"group_by": group_by}
    add(source, *keys(0), *keys(1))
    convert(test=0.5, **options)
    add(source, *keys(2), *keys(3))
    convert(append=True, **(options if repeated else {}))
    split_of = {key: split for split, found in keys_of(output).items() for key in found}
    splits = [{split_of[keys(number)[group]] for number in range(4)} for group in range(8)]
    assert all(len(each) == 1 for each in splits)
    assert set.union(*splits) == {"train", "test"}


def test_append_overtaken_by_concurrent_run_asks_to_run_again(
    append: Convert, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append()
    add(source, "cat/new.png")
    from pipelines import convert as module
    from pipelines.incremental.append import select_new as real

    def overtaken(*given: Any) -> Any:
        found = real(*given)
        monkeypatch.setattr(module, "select_new", real)
        append()
        return found

    monkeypatch.setattr(module, "select_new", overtaken)
    with pytest.raises(LockedError, match="run the same command again"):
        append()


def test_append_damaged_dataset_is_refused(append: Convert, source: Path, output: Path) -> None:
    append()
    add(source, "cat/new.png")
    next((output / "index").iterdir()).unlink()
    with pytest.raises(CorruptDataError, match="missing"):
        append()


def test_tfds_appended_dataset_reads_all_generations(
    append: Convert, source: Path, output: Path
) -> None:
    tfds = pytest.importorskip("tensorflow_datasets")
    append()
    add(source, "cat/new.png", *(f"dog/new-{number}.png" for number in range(12)))
    append()
    folders = [output, output / "generations" / "0002"]
    builder = tfds.builder_from_directories([str(folder) for folder in folders])
    found = {
        split: len(list(tfds.as_numpy(builder.as_dataset(split=split))))
        for split in builder.info.splits
    }
    assert found == {split: len(keys) for split, keys in keys_of(output).items()}
