"""Datumaro reads image folders that shardmill writes, and the other way round."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from pipelines.convert import convert
from pipelines.export_dataset import export_dataset
from pipelines.options import ConvertOptions
from records.dataset import open_dataset
from tests.libraries.environments import run_python
from tests.libraries.pages import find_program

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.slow
def test_datumaro_program_of_page_keeps_images_classes_and_splits(
    tmp_path: Path, squares: Path
) -> None:
    export_dataset(str(squares), str(tmp_path / "images"), format="folder")
    program = find_program("how-to/fiftyone-datumaro.md", "Convert a dataset with Datumaro")
    (tmp_path / "run.py").write_text(program)
    printed = run_python("datumaro", tmp_path, "run.py").splitlines()
    dataset = open_dataset(squares)
    assert {f"{name} {len(records)}" for name, records in dataset.items()} <= {*printed}
    convert(ConvertOptions(source=str(tmp_path / "again"), output=str(tmp_path / "data")))
    assert contents(tmp_path / "data") == contents(squares)


def contents(folder: Path) -> Counter[tuple[str, str, bytes]]:
    """Return the splits, classes and pixels of all images."""
    return Counter(
        (split, record.class_name, record.decode().tobytes())
        for split, records in open_dataset(folder).items()
        for record in records
    )
