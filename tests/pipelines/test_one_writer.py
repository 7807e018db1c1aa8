"""One run at a time, and no manifest if a shard is missing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from records.errors import LockedError, StorageError
from records.format import layout
from records.storage import open_storage
from tests.pipelines.conftest import Convert
from tests.pipelines.pictures import content_of
from tests.pipelines.shards import OPTIONS, SHARDS


@pytest.fixture
def expected(convert: Convert, tmp_path: Path) -> dict[str, bytes]:
    convert(**OPTIONS, output=str(tmp_path / "expected"))
    return content_of(tmp_path / "expected")


class TestOneWriter:
    @pytest.fixture
    def held(self, output: Path) -> Iterator[None]:
        with open_storage(output).lock():
            yield

    def test_convert_locked_output_is_refused_with_status_75(
        self, convert: Convert, output: Path, held: None
    ) -> None:
        with pytest.raises(LockedError) as caught:
            convert(**OPTIONS)
        assert caught.value.exit_code == 75
        assert not list(output.glob("*.tfrecord"))

    def test_convert_locked_output_url_is_refused_until_released(
        self, convert: Convert, memory: Any
    ) -> None:
        with open_storage("memory://data").lock(), pytest.raises(LockedError):
            convert(**OPTIONS, output="memory://data")
        assert convert(**OPTIONS, output="memory://data").status == "converted"
        assert not [path for path in memory.find("/data") if layout.WORK_FOLDER in path]

    def test_convert_concurrent_run_finished_first_has_nothing_to_do(
        self,
        convert: Convert,
        output: Path,
        expected: dict[str, bytes],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        from pipelines import convert as module
        from pipelines.resume import find_finished as real

        looks: list[int] = []

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
        assert content_of(output) == expected


def test_convert_workers_not_sharing_output_publish_no_manifest(
    convert: Convert, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.runners.local.run_shards", lambda *_: None)
    with pytest.raises(StorageError, match="accessible to all workers"):
        convert(**OPTIONS)
    assert not (output / layout.MANIFEST).exists()


def test_convert_shard_lost_before_publish_writes_no_manifest(
    convert: Convert, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipelines import convert as module
    from pipelines.writing.results import collect_results as real

    def losing(*given: Any) -> Any:
        (output / SHARDS[0]).unlink()
        return real(*given)

    monkeypatch.setattr(module, "collect_results", losing)
    with pytest.raises(Exception, match="differs from its plan or its index"):
        convert(**OPTIONS)
    assert not (output / layout.MANIFEST).exists()
