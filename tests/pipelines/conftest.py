"""Fixtures for the tests of conversions."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from pipelines.convert import convert as run_conversion
from pipelines.options import ConvertOptions
from pipelines.report import Report
from pipelines.sources import Sources, list_sources
from records.format import layout
from records.format.manifest import Manifest, read_manifest
from records.storage import open_storage
from tests.pipelines.pictures import make_folders

Convert = Callable[..., Report]
Find = Callable[..., Sources]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Return a source with two classes of 12 and 9 pictures."""
    return make_folders(tmp_path / "source", cat=12, dog=9)


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """Return the path of an output, which does not exist."""
    return tmp_path / "data"


@pytest.fixture
def convert(source: Path, output: Path) -> Convert:
    """Convert `source` into `output`, or with the options given."""

    def convert_now(**options: Any) -> Report:
        given = {"source": str(source), "output": str(output), "workers": 2, **options}
        return run_conversion(ConvertOptions(**given))

    return convert_now


@pytest.fixture
def memory() -> Any:
    """Yield the in-memory file system of fsspec, empty before and after."""
    filesystem = fsspec.filesystem("memory")
    filesystem.store.clear()
    filesystem.pseudo_dirs[:] = [""]
    yield filesystem
    filesystem.store.clear()
    filesystem.pseudo_dirs[:] = [""]


@pytest.fixture(autouse=True)
def without_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace fsync, which takes half the time of these tests: no test cuts the power."""
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)


def manifest_of(output: Path) -> Manifest:
    return read_manifest(open_storage(output))


def rejects_of(output: Path) -> dict[str, str]:
    lines = (output / layout.REJECTS).read_text().splitlines()
    return {line["key"]: line["reason"] for line in map(json.loads, lines)}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    return folder


@pytest.fixture
def find(root: Path, tmp_path: Path) -> Find:
    def find_now(**options: Any) -> Sources:
        given: dict[str, Any] = {"source": str(root), "output": "", **options}
        found = list_sources(ConvertOptions(**given))
        parts = (len(found.images), len(found.rejects), found.skipped, found.excluded)
        assert found.found == sum(parts)
        return found

    return find_now


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Capture the log of shardmill, independent of earlier runs in this process."""
    own = logging.getLogger("shardmill")
    own.addHandler(caplog.handler)
    with caplog.at_level(logging.INFO, own.name):
        yield caplog
    own.removeHandler(caplog.handler)
