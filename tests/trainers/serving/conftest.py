"""One server for all quick tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.trainers.conftest import make_source
from tests.trainers.serving.client import Client
from tests.trainers.serving.in_thread import Served, serving
from trainers.serving.limits import Limits

LIMITS = Limits(max_upload_mb=0.2, max_queue=70, max_pixels=10_000)
NUMBERS = tuple(range(300, 312))


@pytest.fixture(scope="session")
def served(run_path: Path) -> Iterator[Served]:
    with serving(run_path, "shapes", LIMITS) as server:
        yield server


@pytest.fixture(scope="session")
def client(served: Served) -> Client:
    return served.client


@pytest.fixture(scope="session")
def images() -> list[bytes]:
    """Return shapes that the model has not seen, as JPEG and PNG files."""
    return [make_source(number).data for number in NUMBERS]
