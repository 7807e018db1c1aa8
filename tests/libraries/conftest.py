"""Small datasets that other libraries read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from records.storage import open_storage
from tests.datasets import LABELS, DatasetBuilder, Source, encode_picture

if TYPE_CHECKING:
    from pathlib import Path

RECORDS = 61  # no multiple of a batch, nor of the number of processes


@pytest.fixture(scope="session")
def squares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a dataset of images of 16×16 pixels, in three shards of `train` and one of `test`."""
    folder: Path = tmp_path_factory.mktemp("squares") / "data"
    sources = [
        Source(
            f"{LABELS[seed % 3]}/{seed}.png".encode(), seed % 3, encode_picture(seed, size=(16, 16))
        )
        for seed in range(RECORDS + 9)
    ]
    train = [sources[:20], sources[20:27], sources[27:RECORDS]]
    DatasetBuilder(open_storage(folder)).build({"train": train, "test": [sources[RECORDS:]]})
    return folder
