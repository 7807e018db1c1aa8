"""A dataset from a pipeline of a user, on every engine."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from pipelines.convert import convert
from pipelines.options import ConvertOptions
from pipelines.runners.prism import serve_prism
from shardmill.beam import WriteDataset
from tests.clusters.testbed import engines
from tests.clusters.testbed.flink import FlinkCluster, flink_here
from tests.clusters.testbed.spark import spark_here
from tests.pipelines.pictures import content_of, make_file, make_folders


@contextmanager
def prism_here(_folder: Path) -> Iterator[Sequence[str]]:
    if not engines.prism().is_file():
        pytest.skip("needs Prism, which `make cluster-test` builds where Go is installed")
    with serve_prism(str(engines.prism())) as endpoint:
        yield (f"--job_endpoint={endpoint}", "--environment_type=LOOPBACK")


def read_row(path: str, source: str) -> beam.Row:
    """Return the row of an image file, with its bytes or, for every third image, its path."""
    file = Path(path)
    key = file.relative_to(source).as_posix()
    row = {"key": key, "label": file.parent.name, "split": None, "group": None}
    is_uri = file.stem.endswith(("0", "3", "6"))
    image = {"image": None if is_uri else file.read_bytes(), "uri": path if is_uri else None}
    return beam.Row(**row, **image, age=age_of(path))


def age_of(path: str) -> float | None:
    """Return the target of an image; the images of some names have none."""
    number = sum(path.encode()[-8:])
    return None if number % 7 == 0 else number * 1.5


def check_same(tmp_path: Path, *flags: str) -> None:
    """Write rows with classes, and rows with targets, and compare with a folder and a list."""
    source = make_folders(tmp_path / "photos", cat=120, dog=80)
    paths = sorted(map(str, source.rglob("*.png")))
    listed = [
        {"path": path, "label": Path(path).parent.name, "age": age_of(path)} for path in paths
    ]
    lines = "\n".join(map(json.dumps, listed))
    forms: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
        "classes": ({}, {}),
        "targets": (
            {"target_column": "age"},
            {"list": str(make_file(tmp_path, "list.jsonl", lines.encode()))},
        ),
    }
    for name, (options, of_list) in forms.items():
        expected, written = tmp_path / f"{name}-expected", tmp_path / name
        given = {**options, "test": 0.2, "shards": 6}
        convert(ConvertOptions(source=str(source), output=str(expected), **given, **of_list))
        with beam.Pipeline("PortableRunner", PipelineOptions(list(flags))) as pipeline:
            paths_of = pipeline | beam.Create(paths) | beam.Reshuffle()
            rows = paths_of | beam.Map(read_row, str(source))
            rows | WriteDataset(written, **given)
        assert content_of(written) == content_of(expected)


Start = Callable[[Path], AbstractContextManager[Sequence[str]]]


@pytest.mark.parametrize("start", [prism_here, flink_here, spark_here])
def test_write_dataset_on_an_engine_gives_the_bytes_of_the_folder(
    tmp_path: Path, start: Start
) -> None:
    with start(tmp_path) as flags:
        check_same(tmp_path, *flags)


def test_write_dataset_on_a_flink_cluster_gives_the_bytes_of_the_folder(
    tmp_path: Path, cluster: FlinkCluster
) -> None:
    check_same(tmp_path, *cluster.flags())
