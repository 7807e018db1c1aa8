from __future__ import annotations

from typing import TYPE_CHECKING

from trainers.cache_dir import cache_dir

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_cache_dir_follows_xdg_cache_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_dir("features") == tmp_path / "shardmill" / "features"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/someone")
    assert str(cache_dir("features")) == "/home/someone/.cache/shardmill/features"
