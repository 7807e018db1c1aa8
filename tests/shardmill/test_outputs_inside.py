"""Outputs inside what a command reads, which every command refuses."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from records.errors import UsageError
from shardmill.cli import shardmill
from tests.trainers.conftest import write_shapes
from trainers.export import export

if TYPE_CHECKING:
    from pathlib import Path

COMMANDS = {
    "convert": ("convert", "DATA", "OUTPUT"),
    "compact": ("compact", "DATA", "OUTPUT"),
    "extract": ("extract", "DATA", "OUTPUT"),
    "export-dataset": ("export-dataset", "DATA", "OUTPUT", "--format", "parquet"),
    "report": ("report", "DATA", "-o", "OUTPUT.html"),
    "featurize": ("featurize", "DATA", "OUTPUT", "--model", "vgg16", "--weights", "none"),
    "train": ("train", "DATA", "OUTPUT"),
    "train --resume": ("train", "DATA", "OUTPUT", "--resume"),
    "salvage": ("salvage", "DATA/train-00000-of-00001.tfrecord", "OUTPUT"),
    "salvage a generation": ("salvage", "DATA/generations/0002/copy.tfrecord", "OUTPUT"),
}
OUTPUTS = ["DATA/new", "DATA/a/b", "DATA/../data/new", "LINK/new", "file://DATA/new"]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_shapes(tmp_path / "data", {"train": [range(6)]})
    generation = tmp_path / "data" / "generations" / "0002"
    generation.mkdir(parents=True)
    shard = tmp_path / "data" / "train-00000-of-00001.tfrecord"
    shutil.copyfile(shard, generation / "copy.tfrecord")
    (tmp_path / "link").symlink_to("data")
    return tmp_path / "data"


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("name", COMMANDS)
def test_output_inside_input_is_refused_and_nothing_is_written(
    data: Path, name: str, output: str
) -> None:
    before = sorted(data.rglob("*"))
    places = {"DATA": str(data), "LINK": str(data.with_name("link"))}
    arguments = [argument.replace("OUTPUT", output) for argument in COMMANDS[name]]
    for place, path in places.items():
        arguments = [argument.replace(place, path) for argument in arguments]
    result = CliRunner().invoke(shardmill, arguments)
    assert isinstance(result.exception, UsageError)
    if not (output.startswith("file:") and name.startswith("train")):
        assert "the output is inside the" in str(result.exception)  # the others: no URLs
    assert sorted(data.rglob("*")) == before


def test_export_into_the_run_that_it_reads_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    for run, output in (("run", "run/new"), (tmp_path / "run", "link/new"), ("run", "run")):
        (tmp_path / "link").unlink(missing_ok=True)
        (tmp_path / "link").symlink_to("run")
        with pytest.raises(UsageError, match=r"inside the run|the same folder"):
            export(tmp_path / run, tmp_path / output)
    assert list((tmp_path / "run").iterdir()) == []
