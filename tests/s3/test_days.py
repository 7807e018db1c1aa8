"""Random days in a bucket of an unreliable server."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.days.places import pass_s3_days
from tests.days.test_days import DAYS
from tests.s3.server import S3Server


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.usefixtures("s3")
@pytest.mark.parametrize("seed", range(3), ids="seed {}".format)
def test_random_days_in_a_bucket_leave_the_records_of_the_model(
    server: S3Server, tmp_path: Path, seed: int
) -> None:
    pytest.importorskip("tensorflow_datasets")
    counts = pass_s3_days(tmp_path, server, seed, DAYS).counts
    assert counts["convert killed"]
    assert counts["repair"]
    assert counts["outages"]
