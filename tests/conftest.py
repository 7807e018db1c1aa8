"""Fixtures for all tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from records.runtime.logging import set_log_format
from records.runtime.termination import stop_watching
from tests.command_line import run

__all__ = ["run"]

# No test depends on the load of the machine, or on chance: slow tests and tests/fuzz search.
settings.register_profile("shardmill", deadline=None, derandomize=True)
settings.load_profile("shardmill")

_BESIDE_THE_REPOSITORY = Path(__file__).parents[2] / "shared" / "data"
SHARED_DATA = Path(os.environ.get("SHARDMILL_TEST_DATA", _BESIDE_THE_REPOSITORY))


@pytest.fixture(autouse=True)
def _log_to_stderr() -> None:
    """Log as the command line does, also after a test with `--quiet`."""
    set_log_format("text")


@pytest.fixture(autouse=True)
def _signals_are_not_watched() -> Iterator[None]:
    """Stop the watch that a command in this process starts: a later signal would end the tests."""
    yield
    stop_watching()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of real photos and weights that is not part of the repository."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"needs the test data: no folder {SHARED_DATA}; set SHARDMILL_TEST_DATA to it")
    return SHARED_DATA
