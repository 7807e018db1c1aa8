"""Datasets in which the file of one shard contains the records of another shard of its size."""

from __future__ import annotations

import shutil
from itertools import permutations
from typing import TYPE_CHECKING

import pytest

from records.adopt import adopt
from records.dataset import open_dataset
from records.errors import CorruptDataError
from records.images import ImageOptions
from records.storage import open_storage
from tests.records.adopt.examples import slim_example, write_examples
from tests.trainers.conftest import RUN_OPTIONS, write_shapes
from trainers.evaluation.evaluate import plan_evaluation
from trainers.features.plan import FeaturizeOptions, plan_features
from trainers.input.dataset import as_tf_dataset
from trainers.input.selection import check_shards, select_split
from trainers.options import TrainOptions
from trainers.runs.create import create_run
from trainers.training.planning import plan_training

if TYPE_CHECKING:
    from pathlib import Path

RAW = ImageOptions(store="raw", resize=(16, 12))
# Twelve numbers in a row have the same classes and names of the same length.
SPLITS = {
    "train": [range(start, start + 12) for start in (0, 12, 24)],
    "test": [range(start, start + 12) for start in (36, 48)],
}
SHARDS = [
    *(f"train-{number:05}-of-00003.tfrecord" for number in range(3)),
    *(f"test-{number:05}-of-00002.tfrecord" for number in range(2)),
]


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("intact") / "data"
    write_shapes(folder, SPLITS, RAW)  # type: ignore[arg-type]
    assert len({(folder / name).stat().st_size for name in SHARDS}) == 1
    return folder


def check_all(data: Path | str, *, sizes: bool = True) -> None:
    dataset = open_dataset(data)
    check_shards(dataset, *(select_split(dataset, split) for split in dataset), sizes=sizes)


@pytest.mark.parametrize("sizes", [True, False])
@pytest.mark.parametrize(("name", "other"), list(permutations(SHARDS, 2)))
def test_check_shards_records_of_another_shard_are_damage(
    intact: Path, tmp_path: Path, name: str, other: str, sizes: bool
) -> None:
    check_all(intact, sizes=sizes)
    data = shutil.copytree(intact, tmp_path / "data")
    shutil.copyfile(intact / other, data / name)
    with pytest.raises(CorruptDataError, match=f"{name} record 0: the shard has other records"):
        check_all(data, sizes=sizes)


def test_check_shards_remote_records_of_another_shard_are_damage(intact: Path) -> None:
    remote = open_storage("memory://misplaced-shards")
    for path in intact.rglob("*"):
        if path.is_file():
            remote.replace(path.relative_to(intact).as_posix(), path.read_bytes())
    check_all("memory://misplaced-shards")
    remote.replace(SHARDS[1], (intact / SHARDS[0]).read_bytes())
    with pytest.raises(CorruptDataError, match=SHARDS[1]):
        as_tf_dataset("memory://misplaced-shards", "train")
    as_tf_dataset("memory://misplaced-shards", "train", shard_count=3)  # reads only its first shard
    with pytest.raises(CorruptDataError, match=SHARDS[1]):
        as_tf_dataset("memory://misplaced-shards", "train", shard_index=1, shard_count=3)


def test_check_shards_any_damage_of_first_record_is_left_to_the_reader(
    intact: Path, tmp_path: Path
) -> None:
    data = shutil.copytree(intact, tmp_path / "data")
    content = (data / SHARDS[0]).read_bytes()
    length = 16 + int.from_bytes(content[:8], "little")
    records = open_dataset(data)["train"]
    for place in range(0, length, 5):
        changed = bytearray(content)
        changed[place] ^= 1 << place % 8
        (data / SHARDS[0]).write_bytes(changed)
        records.check_first_record(0)


@pytest.mark.parametrize("skip_bad", [0, 5])
def test_plans_of_commands_refuse_records_of_another_shard(
    intact: Path, tmp_path: Path, skip_bad: int
) -> None:
    run = create_run(
        tmp_path / "run",
        plan_training(intact, tmp_path / "run", RUN_OPTIONS).config,
        open_dataset(intact).labels,
    )
    data = shutil.copytree(intact, tmp_path / "data")
    shutil.copyfile(data / SHARDS[2], data / SHARDS[0])
    shutil.copyfile(data / SHARDS[4], data / SHARDS[3])
    options = TrainOptions(epochs=1, skip_bad=skip_bad)
    with pytest.raises(CorruptDataError, match=SHARDS[0]):
        plan_training(data, tmp_path / "new", options)
    with pytest.raises(CorruptDataError, match=SHARDS[3]):
        plan_evaluation(run, data, "test", skip_bad=skip_bad)
    with pytest.raises(CorruptDataError, match="the shard has other records"):
        plan_features(
            str(data),
            str(tmp_path / "out"),
            FeaturizeOptions("mobilenet_v2", weights="none", skip_bad=skip_bad),
        )
    with pytest.raises(CorruptDataError, match=SHARDS[3]):
        as_tf_dataset(data, "test")


def test_check_shards_adopted_images_of_another_shard_are_damage(tmp_path: Path) -> None:
    names = [f"flowers_train_{shard:05d}-of-00003.tfrecord" for shard in range(3)]
    for shard, name in enumerate(names):
        numbers = range(6 * shard, 6 * shard + 6, 2)  # all of them PNG
        write_examples(tmp_path / name, [slim_example(number) for number in numbers])
    adopt([str(tmp_path / name) for name in names], tmp_path)
    check_all(tmp_path)
    contents = {name: (tmp_path / name).read_bytes() for name in names}
    assert len(set(map(len, contents.values()))) == 1
    for name, other in permutations(names, 2):
        (tmp_path / name).write_bytes(contents[other])
        with pytest.raises(CorruptDataError, match=f"{name} record 0: the shard has other records"):
            check_all(tmp_path)
        (tmp_path / name).write_bytes(contents[name])
