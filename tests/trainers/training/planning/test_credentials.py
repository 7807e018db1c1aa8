"""A run uses the credentials in URLs of options, and does not store them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from tests.trainers.features.test_job import OPTIONS, make, make_network_of
from trainers.config import encode_config
from trainers.options import TrainOptions
from trainers.options_file import encode_options
from trainers.training.planning import plan_training

if TYPE_CHECKING:
    from pathlib import Path

NAMED = TrainOptions(features="memory://me:secret@credentials/store?version=1")


def test_plan_training_keeps_credentials_of_feature_store_apart_from_configuration(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainers.models.build.build_network", make_network_of)
    assert NAMED.features is not None
    make(shapes, NAMED.features, OPTIONS)
    options = msgspec.structs.replace(
        NAMED, model="mobilenet_v2", mode="transfer", image_size=(32, 48)
    )
    plan = plan_training(shapes, tmp_path / "run", options)
    assert plan.features == NAMED.features
    assert plan.config.options.features == "memory://credentials/store?version=1"
    for stored in (encode_config(plan.config), encode_options(plan.config.options)):
        assert b"secret" not in stored


@pytest.mark.parametrize("location", ["store", "s3://bucket/store?x", "gs://bucket/a@b"])
def test_without_credentials_leaves_other_locations_unchanged(location: str) -> None:
    options = TrainOptions(features=location)
    assert options.without_credentials() == options
