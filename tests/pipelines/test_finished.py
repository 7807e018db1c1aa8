"""An output that holds a finished dataset, or files of another origin."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipelines.report import RunCounts
from pipelines.sources.reader import LocalFiles
from records.errors import OutputError
from records.format import layout
from tests.pipelines.conftest import Convert
from tests.pipelines.pictures import CORRUPT, content_of, make_file
from tests.pipelines.shards import OPTIONS, SHARDS, picture_in, rewrite, touch


@pytest.fixture
def expected(convert: Convert, tmp_path: Path) -> dict[str, bytes]:
    convert(**OPTIONS, output=str(tmp_path / "expected"))
    return content_of(tmp_path / "expected")


class TestFinished:
    @pytest.fixture
    def finished(self, convert: Convert, output: Path) -> Path:
        convert(**OPTIONS)
        return output

    def test_convert_second_identical_run_has_nothing_to_do(
        self, convert: Convert, finished: Path
    ) -> None:
        before = {path: path.stat().st_mtime_ns for path in finished.rglob("*")}
        report = convert(**OPTIONS, workers=1, max_rejects=5)
        assert report.status == "nothing-to-do"
        assert report.counts == RunCounts(21, 0, 0, 0, 0, known=21)
        assert report.splits["train"].images == 21
        assert report.splits["train"].bytes > 0
        assert {path: path.stat().st_mtime_ns for path in finished.rglob("*")} == before

    def test_convert_second_identical_run_notes_rejects(
        self, convert: Convert, source: Path, finished: Path, tmp_path: Path
    ) -> None:
        make_file(source, "cat/bad.png", CORRUPT)
        first = convert(output=str(tmp_path / "b"))
        assert first.rejects_by_reason == {"corrupt": 1}
        again = convert(output=str(tmp_path / "b"))
        assert (again.status, again.rejects_by_reason) == ("nothing-to-do", {})
        assert again.notes == ("1 file rejected by earlier runs (1 corrupt)",)

    @pytest.mark.parametrize("other", [{"shards": 3}, {"shards": 4, "test": 0.4}])
    def test_convert_output_of_other_plan_is_refused_and_unchanged(
        self, convert: Convert, finished: Path, other: dict[str, Any]
    ) -> None:
        before = content_of(finished)
        with pytest.raises(OutputError, match="dataset of a different plan"):
            convert(**other)
        assert content_of(finished) == before

    def test_convert_new_image_is_refused_as_other_plan(
        self, convert: Convert, finished: Path, source: Path
    ) -> None:
        make_file(source, "cat/new.png")
        with pytest.raises(OutputError, match="dataset of a different plan"):
            convert(**OPTIONS)

    def test_convert_touched_sources_are_rehashed_only_once(
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
    def test_convert_modified_source_is_refused_by_name(
        self, convert: Convert, finished: Path, source: Path, dry_run: bool
    ) -> None:
        path = picture_in(finished, source)
        rewrite(path)
        with pytest.raises(OutputError, match=f"a source file was modified.*{path.name}"):
            convert(**OPTIONS, dry_run=dry_run)

    def test_convert_missing_report_has_nothing_to_do(
        self, convert: Convert, finished: Path
    ) -> None:
        (finished / layout.REPORT).unlink()
        assert convert(**OPTIONS).status == "nothing-to-do"

    @pytest.mark.parametrize("dry_run", [False, True])
    def test_convert_missing_shard_is_refused_by_name(
        self, convert: Convert, finished: Path, dry_run: bool
    ) -> None:
        (finished / SHARDS[1]).unlink()
        with pytest.raises(
            OutputError, match=f"{SHARDS[1]}.*a shard of the dataset is missing.*got no file"
        ):
            convert(**OPTIONS, dry_run=dry_run)

    def test_convert_run_killed_after_manifest_removes_run_state(
        self, convert: Convert, finished: Path, expected: dict[str, bytes]
    ) -> None:
        plan = '{"plan_digest":"","fingerprint":"","encoders":{},"shards":[]}'
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
            "skipped.jsonl",
            "report.json",
            "provenance.json",
            "features.json",
        ],
    )
    @pytest.mark.parametrize("dry_run", [False, True])
    def test_convert_existing_file_with_dataset_name_is_refused_and_kept(
        self, convert: Convert, output: Path, name: str, dry_run: bool
    ) -> None:
        make_file(output, name, b"precious")
        with pytest.raises(OutputError, match=f"{name}.*move the file away"):
            convert(**OPTIONS, dry_run=dry_run)
        assert (output / name).read_bytes() == b"precious"
        assert not list(output.glob("*.tfrecord")) or name == SHARDS[0] or "test" in name

    @pytest.mark.parametrize("content", [b"{}", b"not json", b'{"format_version": 99}', b""])
    def test_convert_invalid_manifest_is_refused_and_kept(
        self, convert: Convert, output: Path, content: bytes
    ) -> None:
        make_file(output, layout.MANIFEST, content)
        with pytest.raises(OutputError, match="contains a damaged dataset"):
            convert(**OPTIONS)
        assert content_of(output) == {layout.MANIFEST: content}

    def test_convert_unrelated_files_in_output_are_kept(
        self, convert: Convert, output: Path, expected: dict[str, bytes]
    ) -> None:
        make_file(output, "README.md", b"mine")
        make_file(output, "notes/a.txt", b"mine too")
        convert(**OPTIONS)
        assert content_of(output) == expected | {"README.md": b"mine", "notes/a.txt": b"mine too"}

    def test_convert_output_containing_source_keeps_source_files(
        self, convert: Convert, source: Path, expected: dict[str, bytes], tmp_path: Path
    ) -> None:
        above = tmp_path / "above"
        above.mkdir()
        source.rename(above / "photos")
        before = content_of(above)
        convert(**OPTIONS, source=str(above / "photos"), output=str(above))
        assert content_of(above) == expected | before
