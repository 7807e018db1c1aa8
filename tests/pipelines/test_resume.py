"""What a target holds beforehand: nothing, this dataset, this run unfinished, or another's."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines import write
from pipelines.source_files import LocalFiles, UnreadableError
from records import layout
from records.dataset import open_dataset
from records.errors import BusyError, StorageError, TargetError, TooManyRejectsError
from records.layout import index_name
from records.storage import open_storage
from tests.pipelines.conftest import Convert
from tests.pipelines.pictures import CORRUPT, content_of, make_file, make_picture

pytestmark = pytest.mark.usefixtures("without_beam")
OPTIONS = {"shards": 4}
SHARDS = [layout.shard_name("train", number, 4) for number in range(4)]


class StoppedError(Exception):
    pass


@pytest.fixture
def expected(convert: Convert, tmp_path: Path) -> dict[str, bytes]:
    convert(**OPTIONS, target=str(tmp_path / "expected"))
    return content_of(tmp_path / "expected")


@pytest.fixture
def unfinished(
    convert: Convert, target: Path, expected: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A target whose run stopped before its third shard."""
    stop_at(monkeypatch, SHARDS[2])
    with pytest.raises(StoppedError):
        convert(**OPTIONS)
    monkeypatch.setattr(write, "_write", REAL_WRITE)
    assert sorted(path.name for path in target.glob("*.tfrecord")) == SHARDS[:2]
    return target


REAL_WRITE = write._write


def stop_at(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def stopping(job: Any, plan: Any, *rest: Any) -> None:
        if plan.name == name:
            raise StoppedError
        REAL_WRITE(job, plan, *rest)

    monkeypatch.setattr(write, "_write", stopping)


def identities(target: Path) -> dict[str, tuple[int, int]]:
    return {
        name: (status.st_ino, status.st_mtime_ns)
        for name in (*SHARDS, *map(index_name, SHARDS))
        if (target / name).exists()
        for status in [(target / name).stat()]
    }


def touch(path: Path) -> None:
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 10**9))


def picture_in(target: Path, source: Path, shard: int = 0) -> Path:
    """The file of the first image of a shard."""
    records = open_storage(target)
    from records.index import read_index

    return source / read_index(records, index_name(SHARDS[shard])).rows()[0].key


def rewrite(path: Path) -> None:
    """Other bytes of the same length, in the same format."""
    before = path.read_bytes()
    for seed in range(100_000, 101_000):
        content = make_picture(seed)
        if len(content) == len(before) and content != before:
            path.write_bytes(content)
            touch(path)
            return
    raise AssertionError("no picture of that length")


class TestUnfinished:
    def test_finished_shards_are_kept(
        self, convert: Convert, unfinished: Path, expected: dict[str, bytes]
    ) -> None:
        before = identities(unfinished)
        assert len(before) == 4
        report = convert(**OPTIONS)
        assert (report.status, report.shards_kept) == ("converted", 2)
        assert identities(unfinished).items() >= before.items()
        assert content_of(unfinished) == expected

    @pytest.mark.parametrize(
        "damage",
        [
            lambda path: path.write_bytes(path.read_bytes()[:-1]),
            lambda path: path.write_bytes(path.read_bytes()[:-1] + b"\0\0"),
            lambda path: path.write_bytes(
                bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:]
            ),
            lambda path: path.unlink(),
            lambda path: path.write_bytes(b""),
        ],
    )
    @pytest.mark.parametrize("name", [SHARDS[0], index_name(SHARDS[0])])
    def test_damaged_shards_are_written_again(
        self, convert: Convert, unfinished: Path, expected: dict[str, bytes], damage: Any, name: str
    ) -> None:
        before = identities(unfinished)
        path = unfinished / name
        content = path.read_bytes()
        path.unlink()  # damage must not reach the file that a link shares
        path.write_bytes(content)
        damage(path)
        convert(**OPTIONS)
        assert content_of(unfinished) == expected
        assert identities(unfinished)[SHARDS[1]] == before[SHARDS[1]]

    @pytest.mark.parametrize(
        "other", [{"shards": 3}, {"shards": 4, "seed": 1}, {"shards": 4, "classes": ("cat",)}]
    )
    @pytest.mark.parametrize("dry_run", [False, True])
    def test_another_plan_is_refused(
        self, convert: Convert, unfinished: Path, other: dict[str, Any], dry_run: bool
    ) -> None:
        before = content_of(unfinished)
        with pytest.raises(TargetError, match=r"another plan.*shardmill clean") as caught:
            convert(**other, dry_run=dry_run)
        assert caught.value.exit_code == 73
        assert content_of(unfinished).items() >= before.items() - lock_files(unfinished)

    def test_other_encoders_are_refused(
        self, convert: Convert, unfinished: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("pipelines.resume.encoder_versions", lambda: {"pillow": "0.1"})
        for dry_run in (True, False):
            with pytest.raises(TargetError, match=r"got .*pillow 0\.1"):
                convert(**OPTIONS, dry_run=dry_run)

    def test_a_rewritten_source_has_its_shard_written_again(
        self, convert: Convert, unfinished: Path, source: Path, tmp_path: Path
    ) -> None:
        rewrite(picture_in(unfinished, source))
        before = identities(unfinished)
        assert convert(**OPTIONS).shards_kept == 1
        convert(**OPTIONS, target=str(tmp_path / "again"))
        assert content_of(unfinished) == content_of(tmp_path / "again")
        assert identities(unfinished)[SHARDS[1]] == before[SHARDS[1]]

    def test_a_touched_source_changes_nothing(
        self, convert: Convert, unfinished: Path, source: Path, expected: dict[str, bytes]
    ) -> None:
        before = identities(unfinished)
        for path in source.rglob("*.png"):
            touch(path)
        assert convert(**OPTIONS).shards_kept == 2
        assert identities(unfinished).items() >= before.items()
        assert content_of(unfinished) == expected

    def test_a_source_of_another_size_is_another_plan(
        self, convert: Convert, unfinished: Path, source: Path
    ) -> None:
        picture_in(unfinished, source).write_bytes(make_picture(1, size=(9, 9)))
        with pytest.raises(TargetError, match="another plan"):
            convert(**OPTIONS)

    def test_a_damaged_plan_is_told(self, convert: Convert, unfinished: Path) -> None:
        (unfinished / layout.WORK_FOLDER / "plan.json").write_bytes(b"{")
        with pytest.raises(Exception, match="plan of the unfinished run is damaged"):
            convert(**OPTIONS)

    def test_what_was_staged_goes(
        self, convert: Convert, unfinished: Path, expected: dict[str, bytes]
    ) -> None:
        make_file(unfinished, f"{layout.WORK_FOLDER}/staging/left-over", b"half")
        convert(**OPTIONS)
        assert content_of(unfinished) == expected

    def test_a_failure_of_long_ago_is_forgotten(
        self, convert: Convert, unfinished: Path, expected: dict[str, bytes]
    ) -> None:
        failure = b'{"kind":"TargetError","what":"w","path":null,"got":null,"hint":null}'
        make_file(unfinished, f"{layout.WORK_FOLDER}/failures/{SHARDS[2]}.json", failure)
        convert(**OPTIONS)
        assert content_of(unfinished) == expected


def lock_files(target: Path) -> Any:
    return {(f"{layout.WORK_FOLDER}/lock", b"")}


class TestRejectsOnResume:
    def test_a_file_readable_by_now_is_read(
        self, convert: Convert, source: Path, target: Path, monkeypatch: pytest.MonkeyPatch,
        expected: dict[str, bytes],
    ) -> None:  # fmt: skip
        with monkeypatch.context() as patched:
            refuse_reading(patched, b"cat/003.png")
            with pytest.raises(TooManyRejectsError, match="1 unreadable"):
                convert(**OPTIONS, max_rejects=0)
        assert convert(**OPTIONS, max_rejects=0).shards_kept == 3
        assert content_of(target) == expected

    def test_a_file_mended_in_place_is_read_again(
        self, convert: Convert, source: Path, target: Path, expected: dict[str, bytes]
    ) -> None:
        path = source / "cat" / "003.png"
        good = path.read_bytes()
        path.write_bytes(good[:45] + bytes([good[45] ^ 0xFF]) + good[46:])
        with pytest.raises(TooManyRejectsError, match="1 corrupt"):
            convert(**OPTIONS, max_rejects=0)
        path.write_bytes(good)
        touch(path)
        convert(**OPTIONS, max_rejects=0)
        assert content_of(target) == expected

    def test_rejects_of_finished_shards_are_not_forgotten(
        self, convert: Convert, source: Path, target: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for number in range(8):
            make_file(source, f"cat/bad{number}.png", CORRUPT)
        stop_at(monkeypatch, SHARDS[3])
        with pytest.raises(StoppedError):
            convert(**OPTIONS)
        monkeypatch.setattr(write, "_write", REAL_WRITE)
        report = convert(**OPTIONS)
        assert (report.shards_kept, report.counts.rejected) == (3, 8)


def refuse_reading(monkeypatch: pytest.MonkeyPatch, refused: bytes) -> None:
    real = LocalFiles.read

    def read(self: LocalFiles, key: bytes) -> bytes:
        if key == refused:
            raise UnreadableError("Permission denied")
        return real(self, key)

    monkeypatch.setattr(LocalFiles, "read", read)


class TestFinished:
    @pytest.fixture
    def finished(self, convert: Convert, target: Path) -> Path:
        convert(**OPTIONS)
        return target

    def test_the_same_again_is_nothing_to_do(self, convert: Convert, finished: Path) -> None:
        before = {path: path.stat().st_mtime_ns for path in finished.rglob("*")}
        report = convert(**OPTIONS, workers=1, max_rejects=5)
        assert report.status == "nothing-to-do"
        assert report.counts.stored == 21
        assert report.splits["train"].images == 21
        assert report.splits["train"].bytes > 0
        assert {path: path.stat().st_mtime_ns for path in finished.rglob("*")} == before

    def test_its_rejects_are_told_again(
        self, convert: Convert, source: Path, finished: Path, tmp_path: Path
    ) -> None:
        make_file(source, "cat/bad.png", CORRUPT)
        first = convert(target=str(tmp_path / "b"))
        again = convert(target=str(tmp_path / "b"))
        assert again.status == "nothing-to-do"
        assert again.rejects_by_reason == first.rejects_by_reason == {"corrupt": 1}
        assert again.counts == first.counts

    @pytest.mark.parametrize("other", [{"shards": 3}, {"shards": 4, "test": 0.4}])
    def test_another_plan_is_refused_and_nothing_touched(
        self, convert: Convert, finished: Path, other: dict[str, Any]
    ) -> None:
        before = content_of(finished)
        with pytest.raises(TargetError, match="dataset of another plan"):
            convert(**other)
        assert content_of(finished) == before

    def test_a_new_image_is_another_plan(
        self, convert: Convert, finished: Path, source: Path
    ) -> None:
        make_file(source, "cat/new.png")
        with pytest.raises(TargetError, match="dataset of another plan"):
            convert(**OPTIONS)

    def test_touched_sources_are_looked_into_once(
        self, convert: Convert, finished: Path, source: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = content_of(finished)
        for path in source.rglob("*.png"):
            touch(path)
        assert convert(**OPTIONS).status == "nothing-to-do"
        assert content_of(finished) == before
        monkeypatch.setattr(LocalFiles, "read", None)  # reading would fail
        assert convert(**OPTIONS).status == "nothing-to-do"

    @pytest.mark.parametrize("dry_run", [False, True])
    def test_a_source_of_other_bytes_is_told(
        self, convert: Convert, finished: Path, source: Path, dry_run: bool
    ) -> None:
        path = picture_in(finished, source)
        rewrite(path)
        with pytest.raises(TargetError, match=f"a source file changed since.*{path.name}"):
            convert(**OPTIONS, dry_run=dry_run)

    def test_a_lost_report_costs_a_look_and_no_more(self, convert: Convert, finished: Path) -> None:
        (finished / layout.REPORT).unlink()
        assert convert(**OPTIONS).status == "nothing-to-do"

    @pytest.mark.parametrize("dry_run", [False, True])
    def test_a_lost_shard_is_told(self, convert: Convert, finished: Path, dry_run: bool) -> None:
        (finished / SHARDS[1]).unlink()
        with pytest.raises(TargetError, match=f"{SHARDS[1]}.*lost a shard.*got no file"):
            convert(**OPTIONS, dry_run=dry_run)

    def test_a_run_killed_after_its_manifest_is_tidied(
        self, convert: Convert, finished: Path, expected: dict[str, bytes]
    ) -> None:
        plan = '{"plan_digest":"","stamp":"","encoders":{},"shards":[]}'
        make_file(finished, f"{layout.WORK_FOLDER}/plan.json", plan.encode())
        assert convert(**OPTIONS).status == "nothing-to-do"
        assert content_of(finished) == expected


class TestForeign:
    @pytest.mark.parametrize(
        "name",
        [
            SHARDS[0],
            layout.shard_name("test", 0, 9),
            "index/train-00000-of-00009.parquet",
            "labels.txt",
            "rejects.jsonl",
            "report.json",
            "features.json",
        ],
    )
    @pytest.mark.parametrize("dry_run", [False, True])
    def test_a_file_of_a_dataset_is_refused_and_left(
        self, convert: Convert, target: Path, name: str, dry_run: bool
    ) -> None:
        make_file(target, name, b"precious")
        with pytest.raises(TargetError, match=f"{name}.*move it away"):
            convert(**OPTIONS, dry_run=dry_run)
        assert (target / name).read_bytes() == b"precious"
        assert not list(target.glob("*.tfrecord")) or name == SHARDS[0] or "test" in name

    @pytest.mark.parametrize("content", [b"{}", b"not json", b'{"format_version": 99}', b""])
    def test_a_manifest_of_another_kind(
        self, convert: Convert, target: Path, content: bytes
    ) -> None:
        make_file(target, layout.MANIFEST, content)
        with pytest.raises(TargetError, match="the target is taken"):
            convert(**OPTIONS)
        assert content_of(target) == {layout.MANIFEST: content}

    def test_other_files_stay_beside_it(
        self, convert: Convert, target: Path, expected: dict[str, bytes]
    ) -> None:
        make_file(target, "README.md", b"mine")
        make_file(target, "notes/a.txt", b"mine too")
        convert(**OPTIONS)
        assert content_of(target) == expected | {"README.md": b"mine", "notes/a.txt": b"mine too"}

    def test_a_target_above_the_source(
        self, convert: Convert, source: Path, expected: dict[str, bytes], tmp_path: Path
    ) -> None:
        above = tmp_path / "above"
        above.mkdir()
        source.rename(above / "photos")
        before = content_of(above)
        convert(**OPTIONS, source=str(above / "photos"), target=str(above))
        assert content_of(above) == expected | before


class TestOneWriter:
    @pytest.fixture
    def held(self, target: Path) -> Iterator[None]:
        with open_storage(target).lock():
            yield

    def test_a_second_run_is_refused(self, convert: Convert, target: Path, held: None) -> None:
        with pytest.raises(BusyError) as caught:
            convert(**OPTIONS)
        assert caught.value.exit_code == 75
        assert not list(target.glob("*.tfrecord"))

    def test_so_it_is_at_a_url(self, convert: Convert, memory: Any) -> None:
        with open_storage("memory://data").lock(), pytest.raises(BusyError):
            convert(**OPTIONS, target="memory://data")
        assert convert(**OPTIONS, target="memory://data").status == "converted"
        assert not [path for path in memory.find("/data") if layout.WORK_FOLDER in path]

    def test_one_that_has_ended_meanwhile_leaves_nothing_to_do(
        self,
        convert: Convert,
        target: Path,
        expected: dict[str, bytes],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        from pipelines import convert as module

        real, looks = module.find_finished, []

        def late(*given: Any) -> Any:
            looks.append(1)
            if len(looks) == 1:
                found = real(*given)
                monkeypatch.setattr(module, "find_finished", real)
                convert(**OPTIONS)
                return found
            return real(*given)

        monkeypatch.setattr(module, "find_finished", late)
        assert convert(**OPTIONS).status == "nothing-to-do"
        assert content_of(target) == expected


def test_a_worker_that_wrote_elsewhere_publishes_nothing(
    convert: Convert, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.runners.run_pipeline", lambda *_: None)
    with pytest.raises(StorageError, match="all workers must reach the target"):
        convert(**OPTIONS)
    assert not (target / layout.MANIFEST).exists()


def test_a_shard_lost_before_the_manifest_publishes_nothing(
    convert: Convert, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipelines import convert as module

    real = module.gather

    def losing(*given: Any) -> Any:
        (target / SHARDS[0]).unlink()
        return real(*given)

    monkeypatch.setattr(module, "gather", losing)
    with pytest.raises(Exception, match="not what its plan and its index say"):
        convert(**OPTIONS)
    assert not (target / layout.MANIFEST).exists()


def test_resuming_at_a_url(
    convert: Convert, expected: dict[str, bytes], memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_at(monkeypatch, SHARDS[2])
    with pytest.raises(StoppedError):
        convert(**OPTIONS, target="memory://data")
    monkeypatch.setattr(write, "_write", REAL_WRITE)
    assert convert(**OPTIONS, target="memory://data").shards_kept == 2
    found = {path.removeprefix("/data/"): memory.cat_file(path) for path in memory.find("/data")}
    assert found.pop("report.json")
    assert found == expected
    assert len(open_dataset("memory://data")["train"]) == 21
