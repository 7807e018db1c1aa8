"""A small dataset, made with the records package alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from records.storage import open_storage
from tests.datasets import DatasetBuilder, make_sources

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def build_dataset(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes 17 images in three shards and returns the folder."""

    def build(**options: object) -> Path:
        folder = tmp_path / "data"
        builder = DatasetBuilder(open_storage(folder), **options)  # type: ignore[arg-type]
        train = [make_sources(5), make_sources(7, first=5)]
        builder.build({"train": train, "test": [make_sources(5, first=12)]})
        return folder

    return build
