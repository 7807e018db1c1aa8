"""Features of photos, computed once for all datasets that contain the photos.

The features of a photo do not depend on its label. But the cache of `train` and `label-errors` is
addressed by the hashes of the shards, which also contain the labels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from records.format.layout import SPLITS
from records.storage.local import LocalStorage
from trainers.backend import start_backend
from trainers.cache_dir import cache_dir, writing_cache
from trainers.features.plan import FeaturizeOptions, plan_backbone
from trainers.input.selection import select_split

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from records.dataset import Dataset


class PhotoFeatures:
    """The features of the photos of a dataset.

    Args:
        dataset: a dataset with one label per image.
        model: the name of the backbone.
        weights: the weights of the backbone.
    """

    def __init__(self, dataset: Dataset, model: str, weights: Path | str) -> None:
        self._model = model
        self._architecture = plan_backbone(dataset, FeaturizeOptions(model, str(weights)))
        start_backend()

        from trainers.features.extract import build_extractor_network
        from trainers.features.load import load_or_extract

        self._network = build_extractor_network(self._architecture, str(weights))
        selections = [select_split(dataset, name) for name in SPLITS if dataset.get(name)]
        source = load_or_extract(
            dataset,
            selections,
            self._network,
            self._architecture,
            store=None,
            on_message=lambda _: None,
        )
        self._by_key: dict[str, NDArray[np.float32]] = {}
        for part in selections:
            for number, shard in enumerate(part.shards):
                keys = dataset[part.split].load_index(number).table["key"].to_pylist()
                rows = source.load(shard)["array"].astype(np.float32)
                self._by_key |= dict(zip(keys, rows, strict=True))

    def of(self, keys: Iterable[str]) -> NDArray[np.float32]:
        """Return the features of photos, (photos, features)."""
        return np.stack([self._by_key[key] for key in keys])

    def keep(self, dataset: Dataset) -> None:
        """Write the features of the split `train`, the only one, to the cache of this user."""
        from trainers.features.extract import get_extractor, make_spec
        from trainers.features.store import FeatureStore, wait_for_lock

        extractor = get_extractor(self._network, self._model)
        spec = make_spec(dataset, extractor, self._architecture, "float16")
        train, folder = dataset["train"], cache_dir("features")
        shards = train.info.shards
        key = FeatureStore(LocalStorage(str(folder)), spec, shards).key
        store = FeatureStore(LocalStorage(str(folder / key)), spec, shards)
        if store.is_finished():
            return
        with (
            writing_cache(folder, "the cache of features"),
            wait_for_lock(store.storage, lambda _: None),
        ):
            missing = store.prepare()
            for number, shard in enumerate(shards):
                if shard in missing:
                    table = train.load_index(number).table
                    features = self.of(table["key"].to_pylist())
                    store.write(shard, [(features, table["label"].to_numpy())])
            store.finish()
