"""An output that holds a run which was stopped before its end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipelines.sources.reader import LocalFiles, UnreadableError
from pipelines.writing import shard
from records.dataset import open_dataset
from records.errors import OutputError, TooManyRejectsError
from records.format import layout
from records.format.layout import index_name
from tests.pipelines.conftest import Convert
from tests.pipelines.pictures import (
    CORRUPT,
    NOT_OF_THE_DATASET,
    content_of,
    make_file,
    make_picture,
)
from tests.pipelines.shards import OPTIONS, SHARDS, identities, picture_in, rewrite, touch


class StoppedError(Exception):
    pass


@pytest.fixture
def expected(convert: Convert, tmp_path: Path) -> dict[str, bytes]:
    convert(**OPTIONS, output=str(tmp_path / "expected"))
    return content_of(tmp_path / "expected")


@pytest.fixture
def unfinished(
    convert: Convert, output: Path, expected: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Return an output whose run stopped before its third shard."""
    stop_at(monkeypatch, SHARDS[2])
    with pytest.raises(StoppedError):
        convert(**OPTIONS)
    monkeypatch.setattr(shard, "convert_images", REAL_WRITE)
    assert sorted(path.name for path in output.glob("*.tfrecord")) == SHARDS[:2]
    return output


REAL_WRITE = shard.convert_images


def stop_at(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def stopping(job: Any, plan: Any, *rest: Any) -> None:
        if plan.name == name:
            raise StoppedError
        REAL_WRITE(job, plan, *rest)

    monkeypatch.setattr(shard, "convert_images", stopping)


class TestUnfinished:
    def test_resume_finished_shards_are_reused(
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
    def test_resume_changed_shard_is_refused_by_name_and_rewritten_once_it_is_moved_away(
        self, convert: Convert, unfinished: Path, expected: dict[str, bytes], damage: Any, name: str
    ) -> None:
        before = identities(unfinished)
        path = unfinished / name
        content = path.read_bytes()
        path.unlink()  # damage must not reach the file that a link shares
        path.write_bytes(content)
        damage(path)
        if path.exists():  # only the user knows whether it is damaged or a file of the user
            changed = path.read_bytes()
            with pytest.raises(OutputError, match=f"{name}: .*move the file away"):
                convert(**OPTIONS)
            assert path.read_bytes() == changed
            path.unlink()
        convert(**OPTIONS)
        assert content_of(unfinished) == expected
        assert identities(unfinished)[SHARDS[1]] == before[SHARDS[1]]

    @pytest.mark.parametrize(
        "other", [{"shards": 3}, {"shards": 4, "seed": 1}, {"shards": 4, "classes": ("cat",)}]
    )
    @pytest.mark.parametrize("dry_run", [False, True])
    def test_resume_other_plan_is_refused_with_status_73(
        self, convert: Convert, unfinished: Path, other: dict[str, Any], dry_run: bool
    ) -> None:
        before = content_of(unfinished)
        with pytest.raises(OutputError, match=r"different plan.*shardmill clean") as caught:
            convert(**other, dry_run=dry_run)
        assert caught.value.exit_code == 73
        assert content_of(unfinished).items() >= before.items() - lock_files(unfinished)

    def test_resume_different_encoder_versions_are_refused(
        self, convert: Convert, unfinished: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("pipelines.resume.encoder_versions", lambda: {"pillow": "0.1"})
        for dry_run in (True, False):
            with pytest.raises(OutputError, match=r"got .*pillow 0\.1"):
                convert(**OPTIONS, dry_run=dry_run)

    def test_resume_modified_source_rewrites_only_its_shard(
        self, convert: Convert, unfinished: Path, source: Path, tmp_path: Path
    ) -> None:
        rewrite(picture_in(unfinished, source))
        before = identities(unfinished)
        assert convert(**OPTIONS).shards_kept == 1
        convert(**OPTIONS, output=str(tmp_path / "again"))
        assert content_of(unfinished) == content_of(tmp_path / "again")
        assert identities(unfinished)[SHARDS[1]] == before[SHARDS[1]]

    def test_resume_touched_sources_reuse_finished_shards(
        self, convert: Convert, unfinished: Path, source: Path, expected: dict[str, bytes]
    ) -> None:
        before = identities(unfinished)
        for path in source.rglob("*.png"):
            touch(path)
        assert convert(**OPTIONS).shards_kept == 2
        assert identities(unfinished).items() >= before.items()
        assert content_of(unfinished) == expected

    def test_resume_source_of_different_size_is_refused_as_other_plan(
        self, convert: Convert, unfinished: Path, source: Path
    ) -> None:
        picture_in(unfinished, source).write_bytes(make_picture(1, size=(9, 9)))
        with pytest.raises(OutputError, match="different plan"):
            convert(**OPTIONS)

    def test_resume_damaged_plan_file_is_refused(self, convert: Convert, unfinished: Path) -> None:
        (unfinished / layout.WORK_FOLDER / "plan.json").write_bytes(b"{")
        with pytest.raises(Exception, match="file of the unfinished run is damaged"):
            convert(**OPTIONS)

    def test_resume_leftover_staging_file_is_removed(
        self, convert: Convert, unfinished: Path, expected: dict[str, bytes]
    ) -> None:
        make_file(unfinished, f"{layout.WORK_FOLDER}/staging/.0123456789abcdef-left-over", b"half")
        convert(**OPTIONS)
        assert content_of(unfinished) == expected

    def test_resume_failure_recorded_by_previous_run_is_ignored(
        self, convert: Convert, unfinished: Path, expected: dict[str, bytes]
    ) -> None:
        failure = b'{"kind":"OutputError","what":"w","path":null,"got":null,"hint":null}'
        make_file(unfinished, f"{layout.WORK_FOLDER}/failures/{SHARDS[2]}.json", failure)
        convert(**OPTIONS)
        assert content_of(unfinished) == expected


def lock_files(output: Path) -> Any:
    return {(f"{layout.WORK_FOLDER}/lock", b"")}


class TestRejectsOnResume:
    def test_resume_file_readable_again_is_converted(
        self, convert: Convert, source: Path, output: Path, monkeypatch: pytest.MonkeyPatch,
        expected: dict[str, bytes],
    ) -> None:  # fmt: skip
        with monkeypatch.context() as patched:
            refuse_reading(patched, b"cat/003.png")
            with pytest.raises(TooManyRejectsError, match="1 unreadable"):
                convert(**OPTIONS, max_rejects=0)
        assert convert(**OPTIONS, max_rejects=0).shards_kept == 3
        assert content_of(output) == expected

    def test_resume_file_fixed_in_place_is_converted(
        self, convert: Convert, source: Path, output: Path, expected: dict[str, bytes]
    ) -> None:
        path = source / "cat" / "003.png"
        good = path.read_bytes()
        path.write_bytes(good[:45] + bytes([good[45] ^ 0xFF]) + good[46:])
        with pytest.raises(TooManyRejectsError, match="1 corrupt"):
            convert(**OPTIONS, max_rejects=0)
        path.write_bytes(good)
        touch(path)
        convert(**OPTIONS, max_rejects=0)
        assert content_of(output) == expected

    @pytest.mark.parametrize("touched", [False, True], ids=["same-times", "new-times"])
    def test_resume_unchanged_rejects_are_counted_and_shards_are_kept(
        self, convert: Convert, source: Path, monkeypatch: pytest.MonkeyPatch, touched: bool
    ) -> None:
        for number in range(8):
            make_file(source, f"cat/bad{number}.png", CORRUPT)
        stop_at(monkeypatch, SHARDS[3])
        with pytest.raises(StoppedError):
            convert(**OPTIONS)
        monkeypatch.setattr(shard, "convert_images", REAL_WRITE)
        for path in (source / "cat").iterdir() if touched else ():
            touch(path)
        report = convert(**OPTIONS)
        assert (report.shards_kept, report.counts.rejected) == (3, 8)

    def test_rejected_file_replaced_after_finished_run_is_reported(
        self, convert: Convert, source: Path, output: Path
    ) -> None:
        path = make_file(source, "cat/bad.png", CORRUPT)
        convert(**OPTIONS)
        touch(path)
        assert convert(**OPTIONS).status == "nothing-to-do"
        path.write_bytes((source / "cat" / "003.png").read_bytes())
        with pytest.raises(OutputError, match="modified after the dataset was written"):
            convert(**OPTIONS)


def refuse_reading(monkeypatch: pytest.MonkeyPatch, refused: bytes) -> None:
    real = LocalFiles.read

    def read(self: LocalFiles, key: bytes, *given: Any, **named: Any) -> bytes:
        if key == refused:
            raise UnreadableError("Permission denied")
        return real(self, key, *given, **named)

    monkeypatch.setattr(LocalFiles, "read", read)


def test_resume_output_url_reuses_finished_shards(
    convert: Convert, expected: dict[str, bytes], memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_at(monkeypatch, SHARDS[2])
    with pytest.raises(StoppedError):
        convert(**OPTIONS, output="memory://data")
    monkeypatch.setattr(shard, "convert_images", REAL_WRITE)
    assert convert(**OPTIONS, output="memory://data").shards_kept == 2
    found = {path.removeprefix("/data/"): memory.cat_file(path) for path in memory.find("/data")}
    assert all(map(found.pop, NOT_OF_THE_DATASET))
    assert found == expected
    assert len(open_dataset("memory://data")["train"]) == 21
