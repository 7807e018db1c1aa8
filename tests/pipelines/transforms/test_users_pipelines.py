"""Pipelines as users write them: one makes a dataset from Parquet, one predicts from a dataset."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.ml.inference.base import (
    KeyedModelHandler,
    ModelHandler,
    PredictionResult,
    RunInference,
)
from apache_beam.testing.util import assert_that, equal_to
from numpy.typing import NDArray
from PIL import Image

from pipelines.transforms import ReadRecords, WriteDataset
from records.dataset import Record, open_dataset
from tests.pipelines.pictures import make_picture

Pixels = NDArray[np.uint8]


class MeanModel:
    """A model that returns how far the mean of an image is from a threshold."""

    def predict(self, pixels: Pixels) -> float:
        return float(pixels.mean()) - 127.5


class MeanHandler(ModelHandler[Pixels, PredictionResult, MeanModel]):  # type: ignore[misc]
    """The handler that loads the model in workers."""

    def load_model(self) -> MeanModel:
        return MeanModel()

    def run_inference(
        self, batch: Sequence[Pixels], model: MeanModel, inference_args: Any = None
    ) -> Iterable[PredictionResult]:
        del inference_args
        for pixels in batch:
            yield PredictionResult(pixels, model.predict(pixels))


def crop(row: dict[str, Any]) -> beam.Row:
    """Return the centre of an image."""
    with Image.open(io.BytesIO(row["jpg"])) as image:
        left, top = image.width // 4, image.height // 4
        cropped = image.crop((left, top, image.width - left, image.height - top))
    content = io.BytesIO()
    cropped.save(content, "PNG")
    return beam.Row(
        key=f"{row['id']}.png", label=row["kind"], image=content.getvalue(), group=row["owner"]
    )


def make_photos(path: Path) -> None:
    """Write a Parquet file of 60 pictures of 20 owners."""
    numbers = range(60)
    columns = {
        "id": [f"photo-{number:03}" for number in numbers],
        "kind": ["cat" if number % 2 else "dog" for number in numbers],
        "owner": [number % 20 for number in numbers],
        "jpg": [make_picture(number, kind="JPEG", size=(16, 12)) for number in numbers],
    }
    pq.write_table(pa.table(columns), path, row_group_size=7)


def test_pipeline_crops_images_of_parquet_and_writes_a_dataset(tmp_path: Path) -> None:
    make_photos(tmp_path / "photos.parquet")
    with beam.Pipeline() as pipeline:
        (
            pipeline
            | beam.io.ReadFromParquet(str(tmp_path / "photos.parquet"))
            | beam.Map(crop)
            | WriteDataset(tmp_path / "data", test=0.3)
        )
    dataset = open_dataset(tmp_path / "data")
    owners: dict[int, str] = {}
    for name, split in dataset.items():
        for record in split:
            assert record.decode().shape == (6, 8, 3)
            number = int(record.key.removeprefix("photo-").removesuffix(".png"))
            assert record.class_name == ("cat" if number % 2 else "dog")
            assert owners.setdefault(number % 20, name) == name
    assert sum(map(len, dataset.values())) == 60
    assert set(owners.values()) == {"train", "test"}


def test_pipeline_runs_inference_on_the_records_of_a_dataset(tmp_path: Path) -> None:
    rows = [
        {"key": f"{number}.png", "label": "x", "image": make_picture(number)}
        for number in range(30)
    ]
    with beam.Pipeline() as pipeline:
        pipeline | beam.Create(rows) | WriteDataset(tmp_path / "data")
    expected = {
        record.key: MeanModel().predict(record.decode())
        for record in open_dataset(tmp_path / "data")["train"]
    }

    def to_pair(record: Record) -> tuple[str, Pixels]:
        return record.key, record.decode()

    with beam.Pipeline() as pipeline:
        predicted = (
            pipeline
            | ReadRecords(tmp_path / "data")
            | beam.Map(to_pair)
            | RunInference(KeyedModelHandler(MeanHandler()))
            | beam.MapTuple(lambda key, result: (key, result.inference))
        )
        assert_that(predicted, equal_to(list(expected.items())))
