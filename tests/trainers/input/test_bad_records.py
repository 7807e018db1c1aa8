"""Images that TensorFlow refuses, in shards whose checksums are right."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import tensorflow as tf
from click.testing import CliRunner

from records.dataset import open_dataset
from records.errors import CorruptDataError, ShardmillError, StorageError, UsageError
from records.format.index import read_index
from records.format.layout import index_name
from records.storage import open_storage
from shardmill.cli import shardmill
from tests.fuzz.image_mutations import Part, join_jpeg, join_png, split_jpeg, split_png
from tests.trainers.conftest import make_source, write_shapes
from tests.trainers.toy_backbone import make_network
from trainers.evaluation import evaluate
from trainers.input.bad_records import find_bad_records, locate_bad_records
from trainers.input.selection import select_for_evaluation
from trainers.options import TrainOptions
from trainers.out_of_memory import OutOfMemoryError
from trainers.runs.run_dir import open_run

if TYPE_CHECKING:
    from pathlib import Path

    from records.format.index import IndexRow


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
REFUSED_RECORDS = {("test-00000-of-00002.tfrecord", 3), ("test-00001-of-00002.tfrecord", 2)}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Return a dataset of two shards; each has one image that TensorFlow refuses."""
    replaced = {make_source(number).key: make(number) for number, make in REFUSED.items()}
    splits: Any = {name: [range(6), range(6, 18)] for name in ("train", "test")}
    write_shapes(tmp_path / "data", splits, replaced=replaced)
    return tmp_path / "data"


def run_training(data: Path, tmp_path: Path, **options: Any) -> Any:
    from trainers.training.planning import plan_training
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


def test_evaluate_skip_bad_measures_exactly_the_intact_images(data: Path, run_path: Path) -> None:
    from trainers.evaluation.evaluate import evaluate_plan, plan_evaluation

    plan = plan_evaluation(open_run(run_path), data)
    intact = replace(plan, selection=plan.selection.excluding(REFUSED_RECORDS))
    lines: list[str] = []
    found = evaluate(run_path, data, mistakes=99, skip_bad=2, on_message=lines.append)
    expected = evaluate_plan(intact, mistakes=99)
    assert (found.images, found.damaged_records) == (16, 2)
    assert msgspec.structs.replace(found, damaged_records=0) == expected
    assert [line.partition(" record ")[2][:1] for line in lines if "skipped: " in line] == [
        "3",
        "2",
    ]
    assert "skipped 2 damaged records of test" in str(found)


def test_evaluate_skip_bad_names_records_on_stderr_and_counts_in_json(
    data: Path, run_path: Path, tmp_path: Path
) -> None:
    shutil.copytree(run_path, tmp_path / "run")
    command = ["evaluate", str(tmp_path / "run"), str(data), "--skip-bad", "2", "--json"]
    result = CliRunner().invoke(shardmill, command)
    assert result.exit_code == 0
    assert json.loads(result.stdout)["damaged_records"] == 2
    assert result.stderr.count("skipped: ") == 2


def test_evaluate_more_damage_than_skip_bad_is_an_error(data: Path, run_path: Path) -> None:
    with pytest.raises(CorruptDataError, match=r"record 3.*0003\.png.*--skip-bad 1 allows"):
        evaluate(run_path, data, skip_bad=1)
    with pytest.raises(UsageError, match="skip_bad"):
        evaluate(run_path, data, skip_bad=-1)


def test_evaluate_skip_bad_without_any_intact_record_is_an_error(
    data: Path, run_path: Path
) -> None:
    for shard in data.glob("test-*.tfrecord"):
        shard.write_bytes(b"")
    with pytest.raises(CorruptDataError, match=r"test-00000-of-00002\.tfrecord record 0"):
        evaluate(run_path, data, skip_bad=99)


def shard_damages(shard: Path, row: IndexRow) -> dict[str, bytes]:
    """Return damaged contents of a shard by name, all of the record in this row and no other."""
    content, end = shard.read_bytes(), row.offset + row.length
    middle = row.offset + row.length // 2
    return {
        "changed byte": content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
        "cut between records": content[: row.offset],
        "cut in the record": content[:middle],
        "zeros": content[: row.offset] + bytes(end - row.offset),
        "changed byte and more after the end": content[:middle] + b"?" + content[middle + 1 :] * 2,
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    ("split", "number"), [*(("test", number) for number in range(5)), ("train", 1)]
)
def test_skip_bad_last_record_of_shard_with_any_damage_is_left_out(
    shapes: Path, run_path: Path, tmp_path: Path, split: str, number: int
) -> None:
    shutil.copytree(shapes, tmp_path / "data")
    info = open_dataset(shapes)[split].info.shards[-1]  # type: ignore[index]
    shard = tmp_path / "data" / info.name
    index = read_index(open_storage(shapes), index_name(info.name))
    last = index.rows(len(index) - 1, len(index))[0]
    shard.write_bytes(list(shard_damages(shard, last).values())[number])
    if split == "test":
        result = evaluate(run_path, tmp_path / "data", skip_bad=1)
        assert (result.images, result.damaged_records) == (59, 1)
    else:
        assert run_training(tmp_path / "data", tmp_path, skip_bad=1).damaged_records == 1


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


# The classes that TensorFlow raises for a failed open or read, depending on the error number.
FILE_ERRORS = (
    tf.errors.AbortedError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
    tf.errors.InternalError,
    tf.errors.InvalidArgumentError,
    tf.errors.PermissionDeniedError,
    tf.errors.ResourceExhaustedError,
    tf.errors.UnavailableError,
    tf.errors.UnknownError,
)


@pytest.mark.parametrize("kind", FILE_ERRORS)
def test_failed_read_of_an_intact_shard_is_a_storage_error_that_names_it(
    tmp_path: Path, kind: type[tf.errors.OpError]
) -> None:
    write_shapes(tmp_path / "data", {"train": [range(6), range(6, 12)]})
    dataset = open_dataset(tmp_path / "data")
    selection = select_for_evaluation(dataset, "train")
    name = selection.shards[1].name
    text = f"{{{{node x}}}} {tmp_path}/data/{name}; Stale file handle\n\t [[{{{{node x}}}}]]"
    with (
        pytest.raises(StorageError, match=f"{name}: .*got Stale file handle; ") as raised,
        locate_bad_records(dataset, selection, on_message=lambda _: None),
    ):
        raise kind(None, None, text)
    assert isinstance(raised.value.__cause__, kind)


@pytest.mark.parametrize("kind", FILE_ERRORS)
def test_tensorflow_error_that_names_no_shard_stays_as_it_is(
    tmp_path: Path, kind: type[tf.errors.OpError]
) -> None:
    write_shapes(tmp_path / "data", {"train": [range(6)]})
    dataset = open_dataset(tmp_path / "data")
    selection = select_for_evaluation(dataset, "train")
    expected = OutOfMemoryError if kind is tf.errors.ResourceExhaustedError else kind
    with (
        pytest.raises(expected),
        locate_bad_records(dataset, selection, on_message=lambda _: None),
    ):
        raise kind(None, None, "other.tfrecord; Stale file handle")


def test_failed_read_of_a_missing_shard_is_the_error_of_the_shard(tmp_path: Path) -> None:
    write_shapes(tmp_path / "data", {"train": [range(6)]})
    dataset = open_dataset(tmp_path / "data")
    selection = select_for_evaluation(dataset, "train")
    shard = tmp_path / "data" / selection.shards[0].name
    shard.unlink()
    with (
        pytest.raises(CorruptDataError) as raised,
        locate_bad_records(dataset, selection, on_message=lambda _: None),
    ):
        raise tf.errors.PermissionDeniedError(None, None, f"{shard}; Permission denied")
    assert shard.name in str(raised.value)


@pytest.mark.parametrize(
    ("text", "kind"),
    [("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes", OutOfMemoryError),
     ("another error", RuntimeError)],
)  # fmt: skip
def test_jax_error_without_memory_is_an_out_of_memory_error(
    tmp_path: Path, text: str, kind: type[Exception]
) -> None:
    write_shapes(tmp_path / "data", {"train": [range(6)]})
    dataset = open_dataset(tmp_path / "data")
    selection = select_for_evaluation(dataset, "train")
    with (
        pytest.raises(kind),
        locate_bad_records(dataset, selection, on_message=lambda _: None),
    ):
        raise RuntimeError(text)
