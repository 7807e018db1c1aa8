"""One run at a time, and no manifest if a shard is missing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.edit import relabel, remove
from pipelines.rollback import rollback
from records import verify
from records.errors import LockedError, StorageError
from records.format import layout
from records.storage import open_storage
from records.storage.local import LocalStorage
from tests.pipelines.conftest import Convert
from tests.pipelines.pictures import content_of, make_file, make_picture
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

    @pytest.mark.parametrize("command", ["rollback", "remove", "convert"])
    def test_command_that_discards_an_unfinished_run_is_the_only_writer_until_it_ends(
        self, convert: Convert, source: Path, output: Path, monkeypatch: pytest.MonkeyPatch,
        command: str,
    ) -> None:  # fmt: skip
        convert(**OPTIONS)
        make_file(source, "cat/new.png", make_picture(900))
        convert(append=True)
        publish, refused = LocalStorage.compare_and_swap, []

        def fail(*_: object) -> None:
            raise KeyboardInterrupt

        def publish_alone(storage: LocalStorage, *given: Any) -> None:
            with pytest.raises(LockedError), open_storage(output).lock():
                pass
            refused.append(given[0])
            publish(storage, *given)

        monkeypatch.setattr(LocalStorage, "compare_and_swap", fail)
        with pytest.raises(KeyboardInterrupt):  # it leaves an unfinished run
            rollback(str(output)) if command == "rollback" else relabel(
                str(output), {"cat/000.png": ("dog",)}
            )
        monkeypatch.setattr(LocalStorage, "compare_and_swap", publish_alone)
        make_file(source, "cat/last.png", make_picture(901))
        if command == "rollback":
            rollback(str(output))
        elif command == "remove":
            remove(str(output), keys=["cat/001.png"])
        else:
            convert(append=True)
        assert layout.MANIFEST in refused
        assert list(verify(output)) == []
        assert not (output / layout.WORK_FOLDER).exists()

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
