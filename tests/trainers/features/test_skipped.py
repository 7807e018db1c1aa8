"""Tests of features of datasets with damaged records, which have no features."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest

from records.dataset import open_dataset
from records.errors import CorruptDataError, OutputError
from records.format.index import read_index
from records.format.layout import index_name
from records.storage import open_storage
from tests.trainers.features.test_job import OPTIONS, files_in, make, make_network_of
from trainers.features.extract import fill_gaps
from trainers.features.manifest import SkippedRecord, decode_manifest, encode_manifest
from trainers.features.store import FeatureStore
from trainers.input.tensor_files import ArrayFormat
from trainers.options import TrainOptions
from trainers.training.planning import plan_training

if TYPE_CHECKING:
    from pathlib import Path

    from trainers.features.plan import FeaturizeOptions

DAMAGED = {
    "train-00000-of-00003.tfrecord": (0, 7, 49),
    "train-00001-of-00003.tfrecord": (3,),
    "test-00001-of-00002.tfrecord": tuple(range(30)),
}
RECORDS = sum(map(len, DAMAGED.values()))
IN_TRAIN = 4


@pytest.fixture
def _toy_backbone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the requested backbone by a small one."""
    monkeypatch.setattr("trainers.models.build.build_network", make_network_of)


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def data(shapes: Path, tmp_path: Path) -> Path:
    """Return a dataset with damaged records in three shards, one of them without intact records."""
    shutil.copytree(shapes, tmp_path / "data")
    for shard, numbers in DAMAGED.items():
        path = tmp_path / "data" / shard
        content = bytearray(path.read_bytes())
        index = read_index(open_storage(shapes), index_name(shard))
        for number in numbers:
            row = index.rows(number, number + 1)[0]
            content[row.offset + row.length // 2] ^= 1
        path.write_bytes(content)
    return tmp_path / "data"


def allow(skip_bad: int) -> FeaturizeOptions:
    return msgspec.structs.replace(OPTIONS, skip_bad=skip_bad)


def rows_of(folder: Path, shard: str) -> Any:
    record = np.dtype([("label", "<i8"), ("array", "<f2", 4)])
    name = shard.removesuffix("tfrecord") + "arrays"
    return np.frombuffer((folder / name).read_bytes()[:-16], record)


@pytest.mark.usefixtures("_toy_backbone")
def test_featurize_skip_bad_writes_zeros_for_damaged_records_and_all_other_features(
    shapes: Path, data: Path, tmp_path: Path
) -> None:
    make(shapes, tmp_path / "intact")
    report = make(data, tmp_path / "store", allow(RECORDS))
    assert (report.images, report.damaged_records) == (210, RECORDS)
    for shard in open_dataset(data).manifest.splits["train"].shards:
        expected, found = (rows_of(tmp_path / name, shard.name) for name in ("intact", "store"))
        damaged = np.isin(np.arange(len(expected)), DAMAGED.get(shard.name, ()))
        np.testing.assert_array_equal(found[~damaged], expected[~damaged])
        assert set(found["label"][damaged]) <= {-1}
        assert not found["array"][damaged].any()
    assert set(rows_of(tmp_path / "store", "test-00001-of-00002.tfrecord")["label"]) == {-1}
    manifest = json.loads((tmp_path / "store" / "features.json").read_bytes())
    places = {(it["shard"], it["record"]) for it in manifest["skipped"]}
    assert places == {(shard, number) for shard, numbers in DAMAGED.items() for number in numbers}
    keys = [record.key for record in open_dataset(shapes)["train"]]
    assert {it["key"] for it in manifest["skipped"] if it["shard"].startswith("train")} == {
        keys[number] for number in (0, 7, 49, 53)
    }
    assert "skipped" not in json.loads((tmp_path / "intact" / "features.json").read_bytes())


@pytest.mark.usefixtures("_toy_backbone")
@pytest.mark.slow
@pytest.mark.parametrize("calls", [0, 2, 4])
def test_featurize_skip_bad_resumed_after_interruption_gives_same_store(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, calls: int
) -> None:
    make(data, tmp_path / "whole", allow(RECORDS))
    write, left = FeatureStore.write, iter(range(calls))

    def fail(*arguments: Any) -> None:
        write(*arguments)
        if next(left, None) is None:
            raise OutputError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(FeatureStore, "write", fail)
        with pytest.raises(OutputError):
            make(data, tmp_path / "store", allow(RECORDS))
    assert make(data, tmp_path / "store", allow(RECORDS)).damaged_records == RECORDS
    assert files_in(tmp_path / "store") == files_in(tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.usefixtures("_toy_backbone")
def test_featurize_skip_bad_limit_counts_all_shards_of_all_attempts(
    data: Path, tmp_path: Path
) -> None:
    for limit in (3, RECORDS - 1):
        with pytest.raises(CorruptDataError, match=r"tfrecord record \d+"):
            make(data, tmp_path / "store", allow(limit))
        assert not (tmp_path / "store" / "features.json").exists()
    assert make(data, tmp_path / "store", allow(RECORDS)).status == "featurized"
    assert make(data, tmp_path / "store", allow(RECORDS)).damaged_records == RECORDS
    with pytest.raises(CorruptDataError, match=f"--skip-bad {RECORDS}"):
        make(data, tmp_path / "store", allow(RECORDS - 1))


@pytest.mark.slow
@pytest.mark.usefixtures("_toy_backbone")
def test_plan_training_with_features_leaves_out_exactly_the_skipped_records(
    data: Path, shapes: Path, tmp_path: Path
) -> None:
    make(data, tmp_path / "store", allow(RECORDS))
    options = TrainOptions(model="mobilenet_v2", mode="transfer", image_size=(32, 48))
    whole = plan_training(shapes, tmp_path / "run", options)
    named = msgspec.structs.replace(options, features=str(tmp_path / "store"))
    plan = plan_training(data, tmp_path / "run", named)
    skipped = {(s, number) for s, numbers in DAMAGED.items() for number in numbers}
    for part, all_records in ((plan.training, whole.training), (plan.validation, whole.validation)):
        expected = all_records.excluding(skipped)
        assert part.records == expected.records
        for mask, other in zip(part.shard_masks, expected.shard_masks, strict=True):
            np.testing.assert_array_equal(mask, other)
    assert plan.training.records + plan.validation.records == 150 - IN_TRAIN
    assert any(f"{IN_TRAIN} damaged records" in note for note in plan.notes)
    # The store of another dataset skips nothing here; its mismatch is found later.
    elsewhere = plan_training(shapes, tmp_path / "run", named)
    assert elsewhere.training.records + elsewhere.validation.records == 150 - IN_TRAIN


@pytest.mark.slow
@pytest.mark.parametrize("use_store", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_train_on_features_of_damaged_dataset_trains_on_intact_records(
    data: Path, tmp_path: Path, use_store: bool
) -> None:
    from trainers.training.train import train

    options = TrainOptions(
        model="vgg16", weights="none", mode="transfer", image_size=(32, 32), epochs=2, batch_size=8
    )
    lines: list[str] = []
    if use_store:
        featurized = msgspec.structs.replace(allow(RECORDS), model="vgg16", image_size=(32, 32))
        make(data, tmp_path / "store", featurized)
        options = msgspec.structs.replace(options, features=str(tmp_path / "store"))
    else:
        options = msgspec.structs.replace(options, skip_bad=IN_TRAIN)
    for name in ("first", "second"):
        result = train(plan_training(data, tmp_path / name, options), on_message=lines.append)
        assert result.damaged_records == (0 if use_store else IN_TRAIN)
        assert result.steps == 2 * -(-(result.training_images) // 8)
        assert np.isfinite(result.loss)
    if not use_store:
        assert len([line for line in lines if line.startswith("skipped: ")]) == IN_TRAIN
        fewer = msgspec.structs.replace(options, skip_bad=IN_TRAIN - 1)
        with pytest.raises(CorruptDataError, match=f"--skip-bad {IN_TRAIN}"):
            train(plan_training(data, tmp_path / "third", fewer))


@pytest.mark.parametrize("seed", range(20))
def test_fill_gaps_inserts_rows_at_every_place(seed: int) -> None:
    random = np.random.default_rng(seed)
    chosen = random.random(random.integers(1, 40)) < random.random()
    values = random.random((len(chosen), 3), np.float32)
    labels = random.integers(0, 9, len(chosen))
    size = int(random.integers(1, 9))
    kept, kept_labels = values[chosen], labels[chosen]
    starts = range(0, len(kept), size)
    batches = ((kept[at : at + size], kept_labels[at : at + size]) for at in starts)
    filled = list(fill_gaps(iter(batches), chosen, ArrayFormat("float32", (3,))))
    found = np.concatenate([batch for batch, _ in filled])
    found_labels = np.concatenate([batch for _, batch in filled])
    np.testing.assert_array_equal(found, np.where(chosen[:, None], values, 0))
    np.testing.assert_array_equal(found_labels, np.where(chosen, labels, -1))


@pytest.mark.usefixtures("_toy_backbone")
def test_decode_manifest_skipped_record_outside_of_its_shard_is_refused(
    shapes: Path, tmp_path: Path
) -> None:
    make(shapes, tmp_path / "store")
    manifest = decode_manifest((tmp_path / "store" / "features.json").read_bytes(), path="x")
    for shard, number in (("train-00000-of-00003.tfrecord", 50), ("other.tfrecord", 0)):
        wrong = msgspec.structs.replace(manifest, skipped=(SkippedRecord(shard, number, "k"),))
        with pytest.raises(CorruptDataError, match="the dataset does not have"):
            decode_manifest(encode_manifest(wrong), path="x")
