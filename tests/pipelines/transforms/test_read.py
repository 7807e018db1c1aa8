"""Datasets as PCollections, on Beam's own runner."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pytest
import tensorflow as tf
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.util import assert_that, equal_to

from pipelines.transforms import ReadExamples, ReadRecords
from records.dataset import Record, open_dataset
from records.dataset.dataset import SplitNotFoundError
from records.errors import InputNotFoundError
from records.format import schema
from records.format.layout import SplitName
from tests.pipelines.conftest import Convert
from tests.pipelines.pictures import make_file, make_picture


@pytest.fixture
def dataset(convert: Convert, source: Path, output: Path) -> Path:
    """Return a dataset of two generations."""
    for number in range(30):
        make_file(source, f"cat/n{number:02d}.png", make_picture(number))
    convert(shards=3, test=0.3)
    for number in range(30, 40):
        make_file(source, f"dog/n{number:02d}.png", make_picture(number))
    convert(append=True)
    return output


def run(transform: beam.PTransform, check: Any) -> beam.runners.runner.PipelineResult:
    pipeline = beam.Pipeline(runner=FnApiRunner())
    assert_that(pipeline | transform, check)
    result = pipeline.run()
    result.wait_until_finish()
    return result


@pytest.mark.parametrize("split", ["train", "test"])
def test_read_records_yields_each_record_of_all_generations_once(
    dataset: Path, split: SplitName
) -> None:
    expected = list(open_dataset(dataset)[split])
    result = run(ReadRecords(dataset, split), equal_to(expected))
    (counted,) = result.metrics().query(beam.metrics.MetricsFilter().with_name("records_read"))[
        "counters"
    ]
    assert counted.committed == len(expected) > 0


def test_read_records_of_an_earlier_generation_yields_its_records(dataset: Path) -> None:
    expected = list(open_dataset(f"{dataset}@1")["train"])
    run(ReadRecords(f"{dataset}@1"), equal_to(expected))
    assert 0 < len(expected) < len(open_dataset(dataset)["train"])


def test_read_records_element_is_a_record_with_pixels(dataset: Path) -> None:
    labels = open_dataset(dataset)["train"].labels

    def check(records: list[Record]) -> None:
        for record in records:
            pixels = record.decode()
            assert pixels.dtype == np.uint8
            assert pixels.shape == (record.height, record.width, record.channels)
            assert record.class_name == labels[record.label]

    run(ReadRecords(dataset), check)
    assert (beam.Pipeline() | ReadRecords(dataset)).element_type is Record


def test_read_examples_yields_the_examples_of_the_shards(dataset: Path) -> None:
    def check(examples: list[bytes]) -> None:
        features = [tf.train.Example.FromString(example).features.feature for example in examples]
        keys = sorted(feature[schema.FILENAME].bytes_list.value[0].decode() for feature in features)
        assert keys == sorted(record.key for record in open_dataset(dataset)["test"])

    run(ReadExamples(dataset, "test"), check)
    assert (beam.Pipeline() | ReadExamples(dataset)).element_type is bytes


@pytest.mark.parametrize("transform", [ReadRecords, ReadExamples])
def test_read_of_a_damaged_shard_fails(
    dataset: Path, transform: type[ReadRecords | ReadExamples]
) -> None:
    shard = min(dataset.glob("train-*.tfrecord"))
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    with pytest.raises(Exception, match=f"{shard.name} record"):  # a runner's error
        run(transform(dataset), lambda elements: None)


def test_read_records_refuses_a_shard_in_place_of_another(dataset: Path) -> None:
    first, second = sorted(dataset.glob("train-*.tfrecord"))[:2]
    first.write_bytes(second.read_bytes())
    with pytest.raises(Exception, match=f"{first.name} record 0"):
        run(ReadRecords(dataset), lambda elements: None)


def test_read_of_no_dataset_or_split_is_refused_before_the_pipeline_runs(
    dataset: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputNotFoundError):
        ReadRecords(tmp_path / "nothing")
    with pytest.raises(SplitNotFoundError, match="validation"):
        ReadRecords(dataset, "validation")


def test_read_records_relative_path_is_found_by_workers_in_other_folders(
    dataset: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(dataset.parent)
    transform = ReadRecords(dataset.name)
    monkeypatch.chdir(tmp_path)
    run(transform, equal_to(list(_records(dataset))))


def _records(dataset: Path) -> Iterator[Record]:
    yield from open_dataset(dataset)["train"]
