"""Fixtures for the tests of deploy/."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"


@pytest.fixture(scope="session")
def environment() -> Path:
    """Return `make deploy-test`'s environment, with Airflow and Kubernetes' schemas."""
    folder = ROOT / ".deploy-test"
    if not (folder / "bin" / "airflow").exists():
        pytest.skip("needs .deploy-test; `make deploy-test` makes it")
    return folder
