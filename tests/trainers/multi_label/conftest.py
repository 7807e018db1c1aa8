"""Fixtures of drawn images with several labels each."""

import pytest

from tests.trainers.drawn import (  # noqa: F401  # they are fixtures
    SHAPES,
    Drawn,
    drawn_data,
    drawn_run,
    few,
    new,
    own_cache,
    run,
)


@pytest.fixture(scope="session")
def drawn() -> Drawn:
    """The kind of image."""
    return SHAPES
