"""Grain reads datasets: iterators that are continued, worker processes, and batches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.libraries.conftest import RECORDS
from tests.libraries.environments import run_python
from tests.libraries.pages import find_program

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow


def test_grain_iterators_continue_with_the_same_batches(tmp_path: Path, squares: Path) -> None:
    program = ("-m", "tests.libraries.programs.grain_resume")
    assert run_python("grain", tmp_path, *program, squares) == f"{RECORDS} records\n"


@pytest.mark.parametrize("heading", ["Grain", "Read whole batches", "Use the DataLoader of Grain"])
def test_grain_program_of_page_runs(tmp_path: Path, squares: Path, heading: str) -> None:
    (tmp_path / "data").symlink_to(squares)
    program = find_program("how-to/data-loaders.md", heading)
    (tmp_path / "read.py").write_text(program)
    assert run_python("grain", tmp_path, "read.py").split()
