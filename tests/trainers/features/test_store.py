"""Tests of filling a feature store shard by shard."""

from __future__ import annotations

import shutil
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from records.errors import CorruptDataError, OutputError, StorageError, UsageError
from records.format.layout import WORK_FOLDER
from records.storage import open_storage
from tests.trainers.features.test_manifest import SHARDS, SPEC, replace
from trainers.features.store import FeatureRangeError, FeatureStore, wait_for_lock

if TYPE_CHECKING:
    from pathlib import Path

STORED = replace(SPEC, features=2)
FILES = {"train-00000-of-00002.arrays", "train-00001-of-00002.arrays"}


def make_store(folder: Path, **changes: Any) -> FeatureStore:
    return FeatureStore(open_storage(folder), replace(STORED, **changes), SHARDS)


def make_batch(value: float = 1, records: int = 5) -> tuple[Any, Any]:
    features = np.full((records, 2), value, np.float32) * np.arange(1, records + 1)[:, None]
    return features.astype(np.float32), np.arange(records)


def fill(store: FeatureStore) -> None:
    for shard in store.prepare():
        store.write(shard, [make_batch()])
    store.finish()


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_feature_store_filled_store_is_finished_and_readable(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store")
    assert not store.is_finished()
    fill(store)
    assert store.is_finished()
    assert names_in(tmp_path / "store") == {"features.json", *FILES}
    source = store.open()
    batches = source.read(SHARDS[1].name).batch(9).map(source.decode).as_numpy_iterator()
    ((features, labels),) = batches
    assert features.tolist() == make_batch()[0].tolist()
    assert labels.tolist() == [0, 1, 2, 3, 4]


def test_feature_store_prepare_keeps_intact_files_and_refuses_changed_ones(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    assert store.prepare() == SHARDS
    store.write(SHARDS[0], [make_batch()])
    assert make_store(tmp_path).prepare() == SHARDS[1:]
    path = tmp_path / "train-00000-of-00002.arrays"
    content = bytearray(path.read_bytes())
    content[9] ^= 1
    for changed in (content, b"mine", b""):
        path.write_bytes(changed)
        with pytest.raises(OutputError, match=rf"{path.name}: .*move the file away"):
            store.prepare()
        assert path.read_bytes() == changed
    path.unlink()
    assert store.prepare() == SHARDS


@pytest.mark.parametrize("finish", [True, False])
def test_feature_store_folder_of_other_store_is_refused_and_unchanged(
    tmp_path: Path, *, finish: bool
) -> None:
    store = make_store(tmp_path)
    for shard in store.prepare():
        store.write(shard, [make_batch()])
    if finish:
        store.finish()
    before = {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    other = make_store(tmp_path, model="vgg16")
    look = other.is_finished if finish else other.prepare
    with pytest.raises(
        OutputError, match="a feature store of a different dataset, model or set of weights"
    ):
        look()
    assert {path: path.read_bytes() for path in before} == before


def test_feature_store_third_party_files_are_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / min(FILES)).write_text("mine")
    with pytest.raises(OutputError, match="the file already exists"):
        make_store(tmp_path).prepare()
    assert names_in(tmp_path) == {min(FILES)}
    (tmp_path / "features.json").write_text("{}")
    with pytest.raises(OutputError, match=r"features\.json in this folder has an unknown format"):
        make_store(tmp_path).is_finished()


@pytest.mark.parametrize("records", [4, 6])
def test_feature_store_wrong_record_count_is_not_written(tmp_path: Path, records: int) -> None:
    store = make_store(tmp_path)
    store.prepare()
    with pytest.raises(CorruptDataError, match=f"expected 5, got {records}"):
        store.write(SHARDS[0], [make_batch(records=records)])
    assert names_in(tmp_path) == {WORK_FOLDER}


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_feature_store_nan_or_inf_features_are_refused(
    tmp_path: Path, dtype: str, value: float
) -> None:
    store = make_store(tmp_path, dtype=dtype)
    with pytest.raises(UsageError, match="of mobilenet_v2 contain NaN or infinite values"):
        store.write(SHARDS[0], [make_batch(value)])
    assert names_in(tmp_path) == {WORK_FOLDER}


def test_feature_store_values_beyond_float16_require_float32(tmp_path: Path) -> None:
    with pytest.raises(FeatureRangeError, match="at most 65504, got 70000; use --dtype float32"):
        make_store(tmp_path).write(SHARDS[0], [make_batch(14_000)])
    exact = make_store(tmp_path, dtype="float32")
    exact.write(SHARDS[0], [make_batch(14_000)])
    assert exact.has(SHARDS[0])


def test_feature_store_finish_with_missing_file_writes_no_manifest(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    store.prepare()
    store.write(SHARDS[0], [make_batch()])
    with pytest.raises(StorageError, match=r"train-00001\S+: features that a worker wrote are"):
        store.finish()
    assert not store.is_finished()


def test_feature_store_open_damaged_file_raises_corrupt_data_error(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    fill(store)
    (tmp_path / max(FILES)).write_bytes(b"less")
    with pytest.raises(CorruptDataError, match="missing or damaged"):
        store.open()


def test_feature_store_insufficient_space_is_refused_before_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("Usage", (), {"free": 10})
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(OutputError, match="the features do not fit on this disk"):
        make_store(tmp_path / "store").prepare()
    assert not (tmp_path / "store").exists()


def test_feature_store_discard_removes_only_its_own_files(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    store.prepare()
    store.write(SHARDS[0], [make_batch()])
    (tmp_path / "mine").touch()
    (tmp_path / max(FILES)).write_text("mine")
    store.discard()
    assert names_in(tmp_path) == {"mine", max(FILES)}


def test_wait_for_lock_held_store_waits_until_released(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainers.features.store.WAIT_SECONDS", 0.01)
    storage, said, told = open_storage(tmp_path), [], threading.Event()

    def wait() -> None:
        def on_message(text: str) -> None:
            said.append(text)
            told.set()

        with wait_for_lock(storage, on_message):
            said.append("held")

    with wait_for_lock(storage, said.append):
        waiting = threading.Thread(target=wait)
        waiting.start()
        assert told.wait(60)
        said.append("still mine")
    waiting.join(60)
    assert [line.partition(" ")[0] for line in said] == ["another", "still", "held"]
