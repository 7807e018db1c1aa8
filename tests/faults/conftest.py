"""Fixtures for the tests of faults: conversions, a small one to break."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pipelines.writing.crash_isolation import SubprocessNormalizer
from records.format.image_options import ImageOptions
from records.images import NormalizedImage, Rejection, normalize_image
from tests.pipelines.conftest import (
    Convert,
    convert,
    output,
    source,
    without_fsync,
)
from tests.pipelines.pictures import CORRUPT, content_of, make_file

__all__ = ["convert", "output", "source", "without_fsync"]

OPTIONS: Mapping[str, Any] = {"test": 4, "shards": 2, "max_rejects": 5}
STORED = 21


class InProcessStore(SubprocessNormalizer):
    """Stores the rest of a shard whose attempt died in this process: a subprocess adds time."""

    def __call__(self, data: bytes, options: ImageOptions) -> NormalizedImage | Rejection:
        """Return the result of `normalize_image`."""
        return normalize_image(data, options)


@pytest.fixture
def without_helper_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start no processes."""
    monkeypatch.setattr("pipelines.writing.shard.SubprocessNormalizer", InProcessStore)


@pytest.fixture
def expected(convert: Convert, source: Path, tmp_path: Path) -> dict[str, bytes]:
    """Return the output of an undisturbed conversion of `source`, which has one corrupt image."""
    make_file(source, "dog/bad.png", CORRUPT)
    convert(**OPTIONS, output=str(tmp_path / "expected"))
    return content_of(tmp_path / "expected")
