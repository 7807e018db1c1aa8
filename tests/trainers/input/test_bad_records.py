"""Images that TensorFlow refuses, in shards whose checksums are right."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from click.testing import CliRunner

from records.dataset import open_dataset
from records.errors import CorruptDataError, ShardmillError
from shardmill.cli import shardmill
from tests.fuzz.image_mutations import Part, join_jpeg, join_png, split_jpeg, split_png
from tests.trainers.conftest import make_source, write_shapes
from tests.trainers.toy_backbone import make_network
from trainers.input.bad_records import find_bad_records
from trainers.input.selection import select_for_evaluation
from trainers.options import TrainOptions

if TYPE_CHECKING:
    from pathlib import Path


OPTIONS = TrainOptions(batch_size=8, image_size=(24, 32), epochs=1, seed=1)


def with_digit_in_chunk_name(number: int) -> bytes:
    """Return a PNG that Pillow reads and libpng refuses."""
    parts = split_png(make_source(number).data)
    return join_png([parts[0], Part(b"p123", b"x"), *parts[1:]])


def with_fractional_chroma(number: int) -> bytes:
    """Return a JPEG whose luma Pillow reads, and whose colours no libjpeg decodes."""
    return join_jpeg(
        [
            replace(
                part,
                payload=part.payload.replace(b"\1\x22", b"\1\x33").replace(b"\2\x11", b"\2\x22"),
            )
            if part.name == b"\xc0"
            else part
            for part in split_jpeg(make_source(number).data)
        ]
    )


REFUSED = {3: with_digit_in_chunk_name, 8: with_fractional_chroma}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Return a dataset of two shards; each has one image that TensorFlow refuses."""
    replaced = {make_source(number).key: make(number) for number, make in REFUSED.items()}
    splits: Any = {name: [range(6), range(6, 18)] for name in ("train", "test")}
    write_shapes(tmp_path / "data", splits, replaced=replaced)
    return tmp_path / "data"


def run_training(data: Path, tmp_path: Path, **options: Any) -> Any:
    from trainers.training.plan import plan_training
    from trainers.training.progress import NullProgress
    from trainers.training.train import train

    plan = plan_training(data, tmp_path / "run", msgspec.structs.replace(OPTIONS, **options))
    return train(plan, on_message=lambda _: None, progress=NullProgress())


def names_record(error: BaseException | None, split: str = "train") -> bool:
    """Return whether an error names shard, record and key of an image that is refused."""
    assert isinstance(error, CorruptDataError)
    assert error.exit_code == 66
    line = str(error)
    assert "\n" not in line
    places = [
        (f"{split}-00000-of-00002.tfrecord record 3", "0003.png"),
        (f"{split}-00001-of-00002.tfrecord record 2", "0008.jpeg"),
    ]
    return any(place in line and key in line for place, key in places) and "--decode`" in line


def test_find_bad_records_refused_images_are_found_and_no_other(data: Path) -> None:
    dataset = open_dataset(data)
    found = list(find_bad_records(dataset, select_for_evaluation(dataset, "train")))
    assert [(record.shard, record.number) for record in found] == [
        ("train-00000-of-00002.tfrecord", 3),
        ("train-00001-of-00002.tfrecord", 2),
    ]
    assert all(names_record(record.error) for record in found)


def test_train_refused_image_is_named(data: Path, tmp_path: Path) -> None:
    with pytest.raises(CorruptDataError) as caught:
        run_training(data, tmp_path)
    assert names_record(caught.value)


def test_train_skip_bad_passes_refused_images(data: Path, tmp_path: Path) -> None:
    result = run_training(data, tmp_path, skip_bad=2)
    assert result.damaged_records == 2


def test_evaluate_refused_image_is_named(data: Path, run_path: Path) -> None:
    result = CliRunner().invoke(shardmill, ["evaluate", str(run_path), str(data)])
    assert names_record(result.exception, "test")


def test_featurize_refused_image_is_named(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "trainers.models.build.build_network", lambda built: make_network(shape=built.shape)
    )
    flags = ["--model=mobilenet_v2", "--weights=none", "--image-size=32x48", "--quiet"]
    result = CliRunner().invoke(shardmill, ["featurize", str(data), str(tmp_path / "out"), *flags])
    assert isinstance(result.exception, ShardmillError)
    assert names_record(result.exception) or names_record(result.exception, "test")


def test_predict_refused_image_is_stored_otherwise_or_rejected(run_path: Path) -> None:
    from trainers.prediction.predictor import Predictor

    png, jpeg = Predictor(run_path).predict([make(number) for number, make in REFUSED.items()])
    assert png.rejection is None
    assert jpeg.rejection is not None
    assert jpeg.rejection.reason == "corrupt"


def test_verify_decode_refused_images_are_found(data: Path) -> None:
    result = CliRunner().invoke(shardmill, ["verify", str(data), "--decode"])
    assert result.exit_code == 1
    assert "0003.png" in result.stdout
    assert "0008.jpeg" in result.stdout
