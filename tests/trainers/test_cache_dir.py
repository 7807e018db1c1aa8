from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from records.errors import OutputError
from trainers.cache_dir import cache_dir, writing_cache

if TYPE_CHECKING:
    from pathlib import Path


def test_cache_dir_follows_xdg_cache_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_dir("features") == tmp_path / "shardmill" / "features"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/someone")
    assert str(cache_dir("features")) == "/home/someone/.cache/shardmill/features"


@pytest.mark.parametrize("variable", ["", "relative/folder"])
def test_cache_dir_relative_xdg_cache_home_is_ignored(
    variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", variable)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_dir("decoded") == tmp_path / ".cache" / "shardmill" / "decoded"


def test_cache_dir_without_home_names_xdg_cache_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("HOME", "relative")
    with pytest.raises(OutputError, match="set XDG_CACHE_HOME"):
        cache_dir("decoded")


def test_writing_cache_unwritable_folder_names_xdg_cache_home(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(OutputError, match="XDG_CACHE_HOME"),
        writing_cache(tmp_path / "file" / "cache", "the cache"),
    ):
        pass
