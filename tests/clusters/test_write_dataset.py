"""A dataset from a pipeline of a user, on every engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

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
from tests.pipelines.pictures import content_of, make_folders


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
    return beam.Row(
        **row, image=None if is_uri else file.read_bytes(), uri=path if is_uri else None
    )


def check_same(tmp_path: Path, *flags: str) -> None:
    source = make_folders(tmp_path / "photos", cat=120, dog=80)
    expected = tmp_path / "expected"
    convert(ConvertOptions(source=str(source), output=str(expected), test=0.2, shards=6))
    paths = sorted(map(str, source.rglob("*.png")))
    with beam.Pipeline("PortableRunner", PipelineOptions(list(flags))) as pipeline:
        rows = pipeline | beam.Create(paths) | beam.Reshuffle() | beam.Map(read_row, str(source))
        rows | WriteDataset(tmp_path / "data", test=0.2, shards=6)
    assert content_of(tmp_path / "data") == content_of(expected)


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
