"""A dataset keeps its description until another one replaces it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import shardmill as sm
from records.errors import OutputError, UsageError
from records.format.metadata.description import Description
from tests.pipelines.conftest import Convert, manifest_of
from tests.pipelines.pictures import content_of, make_file


@pytest.fixture
def describe(tmp_path: Path) -> Any:
    """Return a function that writes a description and returns its path."""
    return lambda text: str(make_file(tmp_path, "it.toml", text.encode()))


def metadata_of(output: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((output / "croissant.json").read_bytes())
    return found


def test_describe_is_kept_by_later_runs_and_replaced_by_append(
    convert: Convert, source: Path, output: Path, tmp_path: Path, describe: Any
) -> None:
    convert(describe=describe('name = "Pets"\nlicense = "MIT"'))
    metadata = metadata_of(output)
    assert (metadata["name"], metadata["license"]) == ("Pets", "MIT")
    make_file(source, "cat/new.png")
    convert(append=True)
    sm.remove(output, keys=["cat/new.png"])
    sm.compact(output, tmp_path / "compacted")
    for folder in (output, tmp_path / "compacted"):
        assert manifest_of(folder).description == Description(name="Pets", license="MIT")
    report = convert(append=True, describe=describe('name = "Animals"'))
    assert (report.status, report.counts.stored, report.generation) == ("converted", 0, 4)
    assert manifest_of(output).description == Description(name="Animals")
    assert metadata_of(output)["name"] == "Animals"
    assert convert(append=True, describe=describe('name = "Animals"')).status == "nothing-to-do"
    sm.rollback(output)
    assert metadata_of(output)["name"] == "Pets"
    assert list(sm.verify(output)) == []


def test_describe_other_than_that_of_the_dataset_needs_append(
    convert: Convert, output: Path, describe: Any
) -> None:
    convert(describe=describe('name = "Pets"'))
    before = content_of(output)
    with pytest.raises(OutputError, match=r"another description; .* add --append"):
        convert(describe=describe('name = "Animals"'))
    assert convert().status == "nothing-to-do"
    assert content_of(output) == before


def test_describe_invalid_is_an_error_before_anything_is_written(
    convert: Convert, output: Path, describe: Any
) -> None:
    with pytest.raises(UsageError, match="unknown key"):
        convert(describe=describe("colour = 1"))
    assert not output.exists()
