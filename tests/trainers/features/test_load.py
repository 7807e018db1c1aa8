"""Tests of features as training input: cached, resumed, copied, refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import fsspec
import numpy as np
import pytest

from records.dataset import Dataset, open_dataset
from records.errors import CorruptDataError, InputNotFoundError, UsageError
from records.storage import open_storage
from tests.trainers.conftest import write_shapes
from tests.trainers.input.test_pipeline import read
from tests.trainers.toy_backbone import ARCHITECTURE, FEATURES, features_of, make_network
from trainers.features.extract import digest_weights, extract_features, make_spec
from trainers.features.load import load_or_extract
from trainers.features.store import FeatureStore
from trainers.input.pipeline import ShardSource, ordered_batches
from trainers.input.selection import Selection, select_for_training
from trainers.models.build import Network

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from trainers.input.tensor_files import ArraySource


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of cached features."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "shardmill" / "features"


@pytest.fixture
def memory() -> Iterator[Any]:
    """Yield the fsspec file system in memory, empty before and after."""
    filesystem = fsspec.filesystem("memory")
    filesystem.store.clear()
    yield filesystem
    filesystem.store.clear()


class Opener:
    """Opens features of a dataset, and keeps the messages."""

    def __init__(self, folder: Path) -> None:
        self.dataset = open_dataset(folder)
        self.parts = select_for_training(self.dataset, None)
        self.said: list[str] = []
        self.progress: list[tuple[int, int]] = []

    def open(self, network: Network | None = None, store: str | None = None) -> ArraySource:
        self.said, self.progress = [], []
        return load_or_extract(
            self.dataset,
            self.parts,
            network or make_network(),
            ARCHITECTURE,
            store=store,
            on_message=self.said.append,
            on_progress=lambda done, total: self.progress.append((done, total)),
        )

    def expected(self, selection: Selection) -> list[Any]:
        source = ShardSource.from_dataset(self.dataset, ARCHITECTURE.shape)
        return list(ordered_batches(source, selection, 16).as_numpy_iterator())


@pytest.fixture
def opener(shapes: Path) -> Opener:
    return Opener(shapes)


def make_named(dataset: Dataset, location: str, network: Network | None = None) -> FeatureStore:
    """Return a store of all shards of a dataset, as `featurize` makes it."""
    extractor = (network or make_network()).extractor
    assert extractor is not None
    spec = make_spec(dataset, extractor, ARCHITECTURE, "float32")
    shards = tuple(s for split in dataset.values() for s in split.info.shards)
    store = FeatureStore(open_storage(location), spec, shards)
    source = ShardSource.from_dataset(dataset, ARCHITECTURE.shape)
    extract_features(extractor, source, store.prepare(), store, count=lambda _: None)
    store.finish()
    return store


def test_load_or_extract_gives_features_of_images(opener: Opener) -> None:
    source = opener.open()
    for part in opener.parts:
        found = list(ordered_batches(source, part, 16).as_numpy_iterator())
        expected = opener.expected(part)
        assert len(found) == len(expected) > 0
        for (features, labels), (images, expected_labels) in zip(found, expected, strict=True):
            assert features.dtype == np.float32
            assert features.shape == (len(images), FEATURES)
            np.testing.assert_allclose(features, features_of(images), rtol=1e-3)
            assert labels.tolist() == expected_labels.tolist()


def test_load_or_extract_second_call_reads_cached_features(opener: Opener, kept: Path) -> None:
    first = opener.open()
    assert opener.said == [f"keeping features in {first.folder}"]
    assert opener.progress[-1] == (150, 150)
    assert [path.name for path in kept.iterdir()] == [first.folder.name]
    assert opener.open() == first
    assert opener.said == [f"features are kept in {first.folder}"]
    assert opener.progress == []


def test_load_or_extract_different_weights_use_separate_stores(opener: Opener, kept: Path) -> None:
    assert opener.open().folder != opener.open(make_network(2.0)).folder
    assert len(list(kept.iterdir())) == 2


def test_load_or_extract_interrupted_extraction_is_resumed(
    opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = {path.name: path.read_bytes() for path in opener.open().folder.iterdir()}
    monkeypatch.setenv("XDG_CACHE_HOME", str(opener.open().folder / "other"))
    write, calls = FeatureStore.write, iter(range(9))

    def die(*arguments: Any) -> None:
        if next(calls) == 1:
            raise KeyboardInterrupt
        write(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(FeatureStore, "write", die)
        with pytest.raises(KeyboardInterrupt):
            opener.open()
    first = opener.progress[-1][0]
    folder = opener.open().folder
    assert opener.progress[-1] == (150 - first, 150 - first)
    assert 0 < first < 150
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == expected


def test_load_or_extract_values_beyond_float16_are_stored_as_float32(
    opener: Opener, kept: Path
) -> None:
    source = opener.open(make_network(1e6))
    assert source.format.dtype == "float32"
    assert "storing float32" in opener.said[1]
    ((features, _), *_) = ordered_batches(source, opener.parts[0], 16).as_numpy_iterator()
    ((images, _), *_) = opener.expected(opener.parts[0])
    np.testing.assert_allclose(features, 1e6 * features_of(images), rtol=1e-5)
    assert opener.open(make_network(1e6)) == source
    assert opener.progress == []
    assert [list(folder.iterdir()) for folder in kept.iterdir() if folder != source.folder] == [[]]


def test_load_or_extract_damaged_record_is_reported_by_number(tmp_path: Path) -> None:
    write_shapes(tmp_path / "data", {"train": [range(20)]})
    path = tmp_path / "data" / "train-00000-of-00001.tfrecord"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(CorruptDataError, match=r"train-00000-of-00001.tfrecord record \d+"):
        Opener(tmp_path / "data").open()


def test_load_or_extract_empty_shard_is_accepted(tmp_path: Path) -> None:
    write_shapes(tmp_path / "data", {"train": [range(9), [], range(9, 20)]})
    opener = Opener(tmp_path / "data")
    source = opener.open()
    assert opener.progress[-1] == (20, 20)
    assert len(read(ordered_batches(source, opener.parts[0], 4))) == opener.parts[0].records


def test_load_or_extract_padded_batch_gives_same_features(opener: Opener) -> None:
    network = make_network()
    assert network.extractor is not None
    network.extractor.compile(jit_compile=True)
    ((features, _), *_) = ordered_batches(opener.open(network), opener.parts[0], 16)
    ((images, _), *_) = opener.expected(opener.parts[0])
    np.testing.assert_allclose(features, features_of(images), rtol=1e-3)


def test_load_or_extract_named_store_is_used_without_cache(
    opener: Opener, kept: Path, tmp_path: Path
) -> None:
    store = make_named(opener.dataset, str(tmp_path / "store"))
    source = opener.open(store=str(tmp_path / "store"))
    assert source == store.open()
    assert not kept.exists()
    expected = read(ordered_batches(source, opener.parts[1], 4))
    assert len(expected) == opener.parts[1].records


def test_load_or_extract_remote_store_is_copied_once(
    opener: Opener, kept: Path, memory: Any
) -> None:
    make_named(opener.dataset, "memory://features/store")
    source = opener.open(store="memory://features/store")
    assert opener.said[-1].startswith("copying features from memory:")
    assert source.folder.parent == kept
    (images, _), *_ = opener.expected(opener.parts[0])
    (features, _), *_ = ordered_batches(source, opener.parts[0], 16).as_numpy_iterator()
    np.testing.assert_allclose(features, features_of(images), rtol=1e-5)
    assert opener.open(store="memory://features/store") == source
    assert opener.said == [f"features are kept in {source.folder}"]


def test_load_or_extract_store_of_other_weights_is_refused(opener: Opener, tmp_path: Path) -> None:
    make_named(opener.dataset, str(tmp_path / "store"), make_network(2.0))
    with pytest.raises(UsageError, match="was made with a different set of weights"):
        opener.open(store=str(tmp_path / "store"))


def test_load_or_extract_unfinished_store_is_refused(opener: Opener, tmp_path: Path) -> None:
    with pytest.raises(InputNotFoundError, match="not a finished feature store"):
        opener.open(store=str(tmp_path / "store"))


def test_load_or_extract_model_without_base_is_refused(opener: Opener) -> None:
    network = make_network()
    with pytest.raises(UsageError, match="no backbone to extract features"):
        opener.open(Network(network.model))


def test_digest_weights_depends_on_values_and_is_stable() -> None:
    first, again, other = (make_network(scale).extractor for scale in (1.0, 1.0, 3.0))
    assert digest_weights(first) == digest_weights(again) != digest_weights(other)
    assert digest_weights(first) == "e1313613334e2269f8ebc38a63bf0111"
