"""Whole conversions: what is stored, counted, refused and foretold."""

from __future__ import annotations

import json
import os
import random
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipelines.convert import run
from pipelines.options import ConvertOptions
from pipelines.report import Report
from pipelines.walk import Found, walk_local
from records import layout
from records.dataset import open_dataset
from records.errors import (
    NoInputError,
    ShardmillError,
    TargetError,
    TooManyRejectsError,
    UsageError,
)
from records.images.options import ImageOptions
from records.manifest import Manifest, read_manifest
from records.storage import open_storage
from records.text import key_to_text
from tests.pipelines.conftest import Convert
from tests.pipelines.pictures import (
    CORRUPT,
    content_of,
    make_file,
    make_folders,
    make_picture,
)


def manifest_of(target: Path) -> Manifest:
    return read_manifest(open_storage(target))


def rejects_of(target: Path) -> dict[str, str]:
    lines = (target / layout.REJECTS).read_text().splitlines()
    return {line["key"]: line["reason"] for line in map(json.loads, lines)}


def test_every_image_is_stored_as_it_was(convert: Convert, source: Path, target: Path) -> None:
    report = convert(test=0.3)
    assert report.status == "converted"
    dataset = open_dataset(target)
    assert dataset.labels == ("cat", "dog")
    stored = {record.key: record for split in dataset.values() for record in split}
    files = {path.relative_to(source).as_posix(): path for path in source.rglob("*.png")}
    assert stored.keys() == files.keys()
    for key, path in files.items():
        assert stored[key].image == path.read_bytes()
        assert stored[key].text == path.parent.name
    assert not (target / layout.WORK_FOLDER).exists()


def test_the_target_holds_what_the_format_says(convert: Convert, target: Path) -> None:
    convert(test=5, shards=2)
    assert sorted(content_of(target)) == [
        "dataset.json",
        "dataset_info.json",
        "features.json",
        "index/test-00000-of-00001.parquet",
        "index/train-00000-of-00002.parquet",
        "index/train-00001-of-00002.parquet",
        "labels.txt",
        "rejects.jsonl",
        "test-00000-of-00001.tfrecord",
        "train-00000-of-00002.tfrecord",
        "train-00001-of-00002.tfrecord",
    ]
    assert (target / layout.LABELS).read_text() == "0:cat\n1:dog\n"


ACCOUNTED: dict[str, Any] = {"images": ImageOptions(max_pixels=10_000), "max_rejects": 10}
SAME: dict[str, Any] = {"test": 0.3, "shards": 3}


@pytest.mark.usefixtures("without_beam")
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

    def test_every_reason(self, convert: Convert, target: Path) -> None:
        report = convert(**ACCOUNTED)
        assert rejects_of(target) == {
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

    def test_the_sum(self, convert: Convert, source: Path, target: Path, tmp_path: Path) -> None:
        exclude = make_file(tmp_path, "exclude.txt", b"dog/000.png\n")
        report = convert(**ACCOUNTED, exclude=str(exclude), classes=("cat", "dog"))
        files = sum(len(names) for _, _, names in os.walk(source))
        counts = manifest_of(target).generations[0].counts
        assert report.counts == counts
        assert counts.found == files
        assert (counts.rejected, counts.skipped, counts.excluded) == (8, 3, 2)
        assert counts.stored == files - 13
        stored = sum(len(split) for split in open_dataset(target).values())
        assert stored == counts.stored

    def test_rejects_are_in_the_order_of_their_keys(self, convert: Convert, target: Path) -> None:
        convert(**ACCOUNTED)
        assert list(rejects_of(target)) == sorted(rejects_of(target))

    def test_a_dry_run_counts_the_same_files(self, convert: Convert) -> None:
        foretold = convert(**ACCOUNTED, dry_run=True)
        counts = convert(**ACCOUNTED).counts
        assert foretold.counts.found == counts.found
        assert foretold.counts.skipped == counts.skipped
        assert foretold.counts.stored >= counts.stored  # no image was opened


@pytest.mark.usefixtures("without_beam")
@pytest.mark.parametrize(
    "key",
    [
        b"caf\xff/x.png",
        b"a b/[1] \xe2\x82\xac.png",
        b"100%/50%.png",
        b"new/a\nb.png",
        b"-x/-y.png",
        b"deep/a/b/c/d.png",
        "\u202eevil/\u2028.png".encode(),
    ],
)
def test_keys_of_any_bytes(convert: Convert, source: Path, target: Path, key: bytes) -> None:
    make_file(source, key)
    convert()
    keys = {record.key for record in open_dataset(target)["train"]}
    assert key_to_text(key) in keys


@pytest.mark.usefixtures("without_beam")
def test_content_decides_never_the_extension(convert: Convert, source: Path, target: Path) -> None:
    make_file(source, "cat/really.jpg", make_picture(1, kind="PNG"))
    make_file(source, "cat/really.png", make_picture(2, kind="JPEG"))
    make_file(source, "cat/none", make_picture(3, kind="GIF"))
    convert()
    formats = {record.key: record.format for record in open_dataset(target)["train"]}
    assert formats["cat/really.jpg"] == "png"
    assert formats["cat/really.png"] == "jpeg"
    assert formats["cat/none"] == "png"


@pytest.mark.usefixtures("without_beam")
def test_pre_split_folders(convert: Convert, tmp_path: Path, target: Path) -> None:
    split = tmp_path / "split"
    make_folders(split / "Train", cat=8, dog=8)
    make_folders(split / "valid", cat=2, cow=1)
    report = convert(source=str(split), test=3)
    assert report.layout == "splits"
    assert {name: facts.images for name, facts in report.splits.items()} == {
        "train": 13, "test": 3, "validation": 3,
    }  # fmt: skip
    dataset = open_dataset(target)
    assert dataset.labels == ("cat", "cow", "dog")
    assert all(record.key.startswith("valid/") for record in dataset["validation"])
    assert all(record.key.startswith("Train/") for record in dataset["test"])
    with pytest.raises(UsageError, match="leave --validation away"):
        convert(source=str(split), target=str(target) + "2", validation=0.5)


@pytest.mark.usefixtures("without_beam")
def test_cut_offs_are_in_the_manifest(convert: Convert, target: Path) -> None:
    convert(test=3, validation=0.3, stratify=True)
    assert [cut_off.label for cut_off in manifest_of(target).cut_offs] == [0, 1]


@pytest.mark.usefixtures("without_beam")
def test_a_list(convert: Convert, source: Path, target: Path, tmp_path: Path, memory: Any) -> None:
    memory.pipe_file("/pool/m.png", make_picture(77))
    rows = [
        "path,label,split",
        "cat/000.png,small,test",
        "dog/000.png,big,",
        "memory://pool/m.png,big,",
        "cat/none.png,small,",
    ]
    path = make_file(tmp_path, "list.csv", "\r\n".join(rows).encode())
    report = convert(list=str(path), allow_url=True)
    dataset = open_dataset(target)
    assert [(r.key, r.text) for r in dataset["test"]] == [("cat/000.png", "small")]
    assert {r.key for r in dataset["train"]} == {"dog/000.png", "memory://pool/m.png"}
    assert rejects_of(target) == {"cat/none.png": "unreadable"}
    assert report.counts.found == 4


@pytest.mark.usefixtures("without_beam")
def test_a_source_that_cannot_be_written(convert: Convert, source: Path) -> None:
    before = content_of(source)
    for path in [*source.rglob("*"), source]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    times = {path: path.stat().st_mtime_ns for path in source.rglob("*")}
    assert convert(test=0.3).status == "converted"
    assert content_of(source) == before
    assert {path: path.stat().st_mtime_ns for path in source.rglob("*")} == times


class TestSameBytes:
    @pytest.fixture
    def expected(self, convert: Convert, source: Path, target: Path) -> dict[str, bytes]:
        make_file(source, "dog/bad.png", CORRUPT)
        make_file(source, "dog/odd", make_picture(5, kind="GIF"))
        convert(test=0.3, shards=3, workers=1)
        return content_of(target)

    @pytest.mark.parametrize("workers", [1, 4])
    def test_any_number_of_workers(
        self, convert: Convert, tmp_path: Path, expected: dict[str, bytes], workers: int
    ) -> None:
        convert(**SAME, target=str(tmp_path / "b"), workers=workers)
        assert content_of(tmp_path / "b") == expected

    def test_chunks_of_any_size(
        self,
        convert: Convert,
        tmp_path: Path,
        expected: dict[str, bytes],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("pipelines.read_ahead._CHUNK_IMAGES", 2)
        convert(**SAME, target=str(tmp_path / "b"), workers=4)
        assert content_of(tmp_path / "b") == expected

    def test_any_order_of_listing(
        self,
        convert: Convert,
        tmp_path: Path,
        expected: dict[str, bytes],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def shuffled(root: bytes, *, follow_symlinks: bool) -> Found:
            found = walk_local(root, follow_symlinks=follow_symlinks)
            random.Random(1).shuffle(found.files)
            random.Random(1).shuffle(found.folders)
            return found

        monkeypatch.setattr("pipelines.source_files.walk_local", shuffled)
        convert(**SAME, target=str(tmp_path / "b"))
        assert content_of(tmp_path / "b") == expected

    def test_any_place(
        self, convert: Convert, source: Path, tmp_path: Path, expected: dict[str, bytes]
    ) -> None:
        moved = shutil.move(source, tmp_path / "elsewhere")
        (tmp_path / "link").symlink_to(moved)
        convert(**SAME, source=f"{tmp_path}/link/", target=str(tmp_path / "b"))
        assert content_of(tmp_path / "b") == expected

    def test_a_target_in_memory(
        self, convert: Convert, expected: dict[str, bytes], memory: Any
    ) -> None:
        convert(**SAME, target="memory://bucket/data")
        found = {
            path.removeprefix("/bucket/data/"): memory.cat_file(path)
            for path in memory.find("/bucket/data")
        }
        assert found.pop("report.json")
        assert found == expected

    def test_a_source_in_memory(
        self,
        convert: Convert,
        source: Path,
        tmp_path: Path,
        expected: dict[str, bytes],
        memory: Any,
    ) -> None:
        for name, content in content_of(source).items():
            memory.pipe_file(f"/photos/{name}", content)
        convert(**SAME, source="memory://photos", target=str(tmp_path / "b"))
        assert content_of(tmp_path / "b") == expected

    def test_threads_of_the_runner(
        self, convert: Convert, tmp_path: Path, expected: dict[str, bytes]
    ) -> None:
        flags = ("--direct_running_mode=multi_threading", "--direct_num_workers=2")
        convert(**SAME, target=str(tmp_path / "b"), beam_flags=flags)
        assert content_of(tmp_path / "b") == expected

    def test_nothing_of_machine_or_time_is_in_it(
        self, expected: dict[str, bytes], tmp_path: Path
    ) -> None:
        for name, content in expected.items():
            assert bytes(str(tmp_path), "utf-8") not in content, name
            assert b"object at 0x" not in content, name


@pytest.mark.slow
@pytest.mark.usefixtures("without_beam")
def test_rejects_of_real_odd_images_are_the_same_twice(
    convert: Convert, shared_data: Path, tmp_path: Path
) -> None:
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "images").symlink_to(shared_data / "odd_images")
    options = {"source": str(tmp_path / "odd"), "follow_symlinks": True, "max_rejects": 0.9}
    images = ImageOptions(max_pixels=4_000_000)
    for name in ("a", "b"):
        convert(**options, images=images, target=str(tmp_path / name))
    assert content_of(tmp_path / "a") == content_of(tmp_path / "b")
    assert b"object at 0x" not in (tmp_path / "a" / layout.REJECTS).read_bytes()


@pytest.mark.usefixtures("without_beam")
class TestTooManyRejects:
    @pytest.fixture(autouse=True)
    def bad(self, source: Path) -> None:
        for number in range(3):
            make_file(source, f"cat/bad{number}.png", CORRUPT)

    def test_ends_without_a_manifest_and_lists_them(self, convert: Convert, target: Path) -> None:
        with pytest.raises(TooManyRejectsError) as caught:
            convert(max_rejects=2)
        assert caught.value.exit_code == 65
        assert "3 of 24 images" in str(caught.value)
        assert "cat/bad0.png" in str(caught.value)
        assert not (target / layout.MANIFEST).exists()
        assert set(rejects_of(target)) == {f"cat/bad{number}.png" for number in range(3)}
        report = msgspec.json.decode((target / layout.REPORT).read_bytes(), type=Report)
        assert report.status == "too-many-rejects"

    def test_goes_on_with_more_allowed_without_writing_a_shard_again(
        self, convert: Convert, target: Path, tmp_path: Path
    ) -> None:
        with pytest.raises(TooManyRejectsError):
            convert(max_rejects=0.1, shards=3)
        shards = {path: path.stat().st_mtime_ns for path in target.glob("*.tfrecord")}
        report = convert(max_rejects=3, shards=3)
        assert (report.status, report.shards_kept) == ("converted", 3)
        assert {path: path.stat().st_mtime_ns for path in target.glob("*.tfrecord")} == shards
        convert(max_rejects=3, shards=3, target=str(tmp_path / "b"))
        assert content_of(target) == content_of(tmp_path / "b")

    def test_ten_are_allowed_of_few(self, convert: Convert, source: Path) -> None:
        for number in range(3, 10):
            make_file(source, f"cat/bad{number}.png", CORRUPT)
        assert convert().counts.rejected == 10

    def test_eleven_are_not(self, convert: Convert, source: Path) -> None:
        for number in range(3, 11):
            make_file(source, f"cat/bad{number}.png", CORRUPT)
        with pytest.raises(TooManyRejectsError):
            convert()

    def test_never_all(self, convert: Convert, tmp_path: Path, target: Path) -> None:
        make_file(tmp_path, "none/cat/1.png", CORRUPT)
        with pytest.raises(TooManyRejectsError):
            convert(source=str(tmp_path / "none"), max_rejects=100)
        assert not (target / layout.MANIFEST).exists()

    def test_what_listing_tells_is_refused_before_any_shard(
        self, convert: Convert, source: Path, target: Path
    ) -> None:
        for number in range(20):
            make_file(source, f"loose{number}.png")
        for dry_run in (True, False):
            with pytest.raises(TooManyRejectsError, match="a folder of its own"):
                convert(dry_run=dry_run)
        assert not list(target.glob("*.tfrecord"))
        assert len(rejects_of(target)) == 20
        assert convert(max_rejects=23).status == "converted"


@pytest.mark.usefixtures("without_beam")
def test_a_count_that_rejects_eat_into_is_told(convert: Convert, tmp_path: Path) -> None:
    bad = make_folders(tmp_path / "bad", cat=10)
    (bad / "cat" / "003.png").write_bytes(CORRUPT)
    report = convert(source=str(bad), test=9, max_rejects=1)
    split = "test" if report.splits["test"].images == 8 else "train"
    assert report.splits[split].images == {"test": 8, "train": 0}[split]
    assert bool([note for note in report.notes if "not 9" in note]) == (split == "test")


class TestWrongIdeas:
    def error(self, convert: Convert, **options: Any) -> ShardmillError:
        """The same error from a dry run and a real one, neither of which writes anything."""
        texts = []
        for dry_run in (True, False):
            with pytest.raises(ShardmillError) as caught:
                convert(**options, dry_run=dry_run)
            texts.append(str(caught.value))
        assert texts[0] == texts[1]
        assert texts[0].count("\n") == 0
        return caught.value

    def test_no_source(self, convert: Convert, target: Path) -> None:
        assert isinstance(self.error(convert, source="/nowhere"), NoInputError)
        assert not target.exists()

    def test_an_empty_source(self, convert: Convert, tmp_path: Path, target: Path) -> None:
        (tmp_path / "empty").mkdir()
        error = self.error(convert, source=str(tmp_path / "empty"))
        assert error.exit_code == 66
        assert "a folder a class" in str(error)
        assert not target.exists()

    def test_classes_without_images(self, convert: Convert, tmp_path: Path) -> None:
        (tmp_path / "classes" / "cat").mkdir(parents=True)
        make_file(tmp_path, "classes/dog/notes.txt", b"text")
        error = self.error(convert, source=str(tmp_path / "classes"))
        assert (error.exit_code, error.got) == (66, "1 other files, 0 images excluded")

    def test_an_archive(self, convert: Convert, tmp_path: Path) -> None:
        path = make_file(tmp_path, "photos.tar.gz", b"")
        assert "unpack" in str(self.error(convert, source=str(path)))

    def test_a_target_in_the_source(self, convert: Convert, source: Path) -> None:
        assert self.error(convert, target=str(source / "data")).exit_code == 2
        assert self.error(convert, target=str(source)).exit_code == 2
        assert sorted(path.name for path in source.iterdir()) == ["cat", "dog"]

    def test_a_runner_or_flag_that_is_none(self, convert: Convert, target: Path) -> None:
        assert self.error(convert, runner="NoSuchRunner").exit_code == 2
        assert self.error(convert, runner="no.such.Runner").exit_code == 2
        assert self.error(convert, beam_flags=("--no_such_flag",)).exit_code == 2
        assert self.error(convert, beam_flags=("--direct_num_workers=many",)).exit_code == 2
        assert self.error(convert, beam_flags=("--runner=FlinkRunner",)).exit_code == 2
        assert self.error(convert, beam_flags=("--direct_num_workers=1", "x")).exit_code == 2
        assert not target.exists()

    def test_an_empty_split(self, convert: Convert, target: Path) -> None:
        assert "test would be empty" in str(self.error(convert, test=0.0001))
        assert not target.exists()


@pytest.mark.usefixtures("without_beam")
class TestDryRun:
    @pytest.mark.parametrize(
        "options",
        [
            {},
            {"test": 0.3, "validation": 4},
            {"test": 0.4, "stratify": True, "shards": 3},
            {"classes": ("dog",)},
        ],
    )
    def test_foretells_the_run(
        self, convert: Convert, target: Path, options: dict[str, Any]
    ) -> None:
        foretold = convert(**options, dry_run=True)
        assert not target.exists()
        assert foretold.status == "planned"
        done = convert(**options)
        assert (foretold.counts, foretold.plan_digest) == (done.counts, done.plan_digest)
        assert (foretold.classes, foretold.layout) == (done.classes, done.layout)
        assert {split: (f.images, f.shards) for split, f in foretold.splits.items()} == {
            split: (f.images, f.shards) for split, f in done.splits.items()
        }

    def test_of_a_finished_dataset(self, convert: Convert, target: Path) -> None:
        convert()
        before = content_of(target)
        assert convert(dry_run=True).status == "nothing-to-do"
        with pytest.raises(TargetError, match="another plan"):
            convert(dry_run=True, seed=1)
        assert content_of(target) == before


def test_from_python_with_defaults_alone(source: Path, target: Path) -> None:
    report = run(ConvertOptions(source=str(source), target=str(target)))
    assert report.counts.stored == 21
