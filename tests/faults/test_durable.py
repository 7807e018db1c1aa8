"""Order of syncs: files are durable before the manifest names them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from records.format import layout
from records.storage import atomic
from tests.faults.calls import KilledError
from tests.faults.conftest import OPTIONS
from tests.pipelines.conftest import Convert

pytestmark = pytest.mark.usefixtures("without_helper_processes")


class Names:
    """Folders with names added since their last fsync; it can also kill the process."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.not_lasting: set[Path] = set()
        self.when_published: list[set[Path]] = []
        self.syncs = 0
        self.die_at: int | None = None
        self._sync = atomic.fsync
        patch.setattr(atomic, "fsync", self._sync_or_die)
        patch.setattr(Path, "hardlink_to", self._noting(Path.hardlink_to, final=0))
        patch.setattr(Path, "replace", self._noting(Path.replace, final=1))

    def _noting(self, real: Callable[..., Any], *, final: int) -> Callable[..., Any]:
        def call(*paths: Path) -> Any:
            if paths[final].name == layout.MANIFEST:
                self.when_published.append(set(self.not_lasting))
            result = real(*paths)
            self.not_lasting.add(paths[final].parent)
            return result

        return call

    def _sync_or_die(self, folder: Path) -> None:
        self.syncs += 1
        if self.syncs == self.die_at:
            raise KilledError
        self._sync(folder)
        self.not_lasting.discard(folder)


def test_convert_folder_entries_are_fsynced_before_manifest_is_published(
    convert: Convert, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = Names(monkeypatch)
    convert(**OPTIONS, output=str(tmp_path / "all"))
    assert names.when_published == [set()]
    last_before_the_manifest = names.syncs - 1
    assert last_before_the_manifest > 10
    for number in range(1, last_before_the_manifest + 1):
        output = tmp_path / f"{number}"
        names.when_published.clear()
        names.not_lasting.clear()
        names.syncs, names.die_at = 0, number
        with pytest.raises(KilledError):
            convert(**OPTIONS, output=str(output))
        names.die_at = None
        convert(**OPTIONS, output=str(output))
        places = {place.relative_to(output).as_posix() for place in names.when_published[-1]}
        assert not {place for place in places if not place.startswith(layout.WORK_FOLDER)}, number
