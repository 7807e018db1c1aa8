"""What the tests of conversions ask for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pytest

from pipelines.convert import run
from pipelines.options import ConvertOptions
from pipelines.report import Report
from tests.pipelines.pictures import make_folders

Convert = Callable[..., Report]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Two classes, 12 and 9 pictures."""
    return make_folders(tmp_path / "source", cat=12, dog=9)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """Where a dataset may go; nothing is there."""
    return tmp_path / "data"


@pytest.fixture
def convert(source: Path, target: Path) -> Convert:
    """Convert `source` into `target`, or what the arguments say."""

    def convert_now(**options: Any) -> Report:
        given = {"source": str(source), "target": str(target), "workers": 2, **options}
        return run(ConvertOptions(**given))

    return convert_now


@pytest.fixture
def memory() -> Any:
    """fsspec's file system in memory, empty before and after."""
    filesystem = fsspec.filesystem("memory")
    filesystem.store.clear()
    filesystem.pseudo_dirs[:] = [""]
    yield filesystem
    filesystem.store.clear()
    filesystem.pseudo_dirs[:] = [""]
