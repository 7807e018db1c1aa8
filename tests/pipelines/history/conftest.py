"""Fixtures for the tests of histories."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from tests.pipelines.history.grown import Grown


@pytest.fixture(params=["local", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Yield the location of an output, in a folder or in the memory of this process."""
    filesystem: Any = fsspec.filesystem("memory")
    filesystem.store.clear()
    filesystem.pseudo_dirs[:] = [""]
    yield str(tmp_path / "data") if request.param == "local" else "memory://bucket/data"
    filesystem.store.clear()
    filesystem.pseudo_dirs[:] = [""]


@pytest.fixture
def grown(tmp_path: Path, place: str) -> Grown:
    """Return a dataset of four generations."""
    made = Grown(tmp_path / "source", place)
    made.grow(4)
    return made
