"""The same input gives the same bytes, on any runner and storage."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from pipelines.sources.walk import Listing, new_file_table, walk_local
from records.format import layout
from records.format.image_options import ImageOptions
from tests.pipelines.conftest import Convert
from tests.pipelines.pictures import (
    CORRUPT,
    NOT_OF_THE_DATASET,
    content_of,
    make_file,
    make_picture,
)

SAME: dict[str, Any] = {"test": 0.3, "shards": 3}


class TestSameBytes:
    @pytest.fixture
    def expected(self, convert: Convert, source: Path, output: Path) -> dict[str, bytes]:
        make_file(source, "dog/bad.png", CORRUPT)
        make_file(source, "dog/odd", make_picture(5, kind="GIF"))
        convert(test=0.3, shards=3, workers=1)
        return content_of(output)

    @pytest.mark.parametrize("workers", [1, 4])
    def test_convert_any_worker_count_gives_same_bytes(
        self, convert: Convert, tmp_path: Path, expected: dict[str, bytes], workers: int
    ) -> None:
        convert(**SAME, output=str(tmp_path / "b"), workers=workers)
        assert content_of(tmp_path / "b") == expected

    @pytest.mark.parametrize("processes", [2, 4])
    def test_convert_any_process_count_gives_same_bytes(
        self, convert: Convert, tmp_path: Path, expected: dict[str, bytes], processes: int
    ) -> None:
        convert(**SAME, output=str(tmp_path / "b"), processes=processes)
        assert content_of(tmp_path / "b") == expected

    def test_convert_small_prefetch_chunks_give_same_bytes(
        self,
        convert: Convert,
        tmp_path: Path,
        expected: dict[str, bytes],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("pipelines.writing.prefetch.CHUNK_IMAGES", 2)
        convert(**SAME, output=str(tmp_path / "b"), workers=4)
        assert content_of(tmp_path / "b") == expected

    def test_convert_shuffled_listing_gives_same_bytes(
        self,
        convert: Convert,
        tmp_path: Path,
        expected: dict[str, bytes],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def shuffled(root: bytes, *, follow_symlinks: bool) -> Listing:
            found = walk_local(root, follow_symlinks=follow_symlinks)
            files = list(found.files)
            random.Random(1).shuffle(files)
            found.files = new_file_table(files)
            random.Random(1).shuffle(found.folders)
            return found

        monkeypatch.setattr("pipelines.sources.reader.walk_local", shuffled)
        convert(**SAME, output=str(tmp_path / "b"))
        assert content_of(tmp_path / "b") == expected

    def test_convert_moved_and_symlinked_source_gives_same_bytes(
        self, convert: Convert, source: Path, tmp_path: Path, expected: dict[str, bytes]
    ) -> None:
        moved = shutil.move(source, tmp_path / "elsewhere")
        (tmp_path / "link").symlink_to(moved)
        convert(**SAME, source=f"{tmp_path}/link/", output=str(tmp_path / "b"))
        assert content_of(tmp_path / "b") == expected

    def test_convert_output_url_gives_same_bytes(
        self, convert: Convert, expected: dict[str, bytes], memory: Any
    ) -> None:
        convert(**SAME, output="memory://bucket/data")
        found = {
            path.removeprefix("/bucket/data/"): memory.cat_file(path)
            for path in memory.find("/bucket/data")
        }
        assert all(map(found.pop, NOT_OF_THE_DATASET))
        assert found == expected

    def test_convert_source_url_gives_same_bytes(
        self,
        convert: Convert,
        source: Path,
        tmp_path: Path,
        expected: dict[str, bytes],
        memory: Any,
    ) -> None:
        for name, content in content_of(source).items():
            memory.pipe_file(f"/photos/{name}", content)
        convert(**SAME, source="memory://photos", output=str(tmp_path / "b"))
        assert content_of(tmp_path / "b") == expected

    def test_convert_multi_threading_runner_gives_same_bytes(
        self, convert: Convert, tmp_path: Path, expected: dict[str, bytes]
    ) -> None:
        flags = ("--direct_running_mode=multi_threading", "--direct_num_workers=2")
        convert(**SAME, output=str(tmp_path / "b"), beam_flags=flags)
        assert content_of(tmp_path / "b") == expected

    def test_convert_output_contains_no_local_path_or_address(
        self, expected: dict[str, bytes], tmp_path: Path
    ) -> None:
        for name, content in expected.items():
            assert bytes(str(tmp_path), "utf-8") not in content, name
            assert b"object at 0x" not in content, name


@pytest.mark.slow
def test_convert_odd_images_twice_gives_same_bytes(
    convert: Convert, shared_data: Path, tmp_path: Path
) -> None:
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "images").symlink_to(shared_data / "odd_images")
    options = {"source": str(tmp_path / "odd"), "follow_symlinks": True, "max_rejects": 0.9}
    images = ImageOptions(max_pixels=4_000_000)
    for name in ("a", "b"):
        convert(**options, images=images, output=str(tmp_path / name))
    assert content_of(tmp_path / "a") == content_of(tmp_path / "b")
    assert b"object at 0x" not in (tmp_path / "a" / layout.REJECTS).read_bytes()
