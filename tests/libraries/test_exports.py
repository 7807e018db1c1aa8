"""Exports read by libraries that are not installed with shardmill."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest

from pipelines.export_dataset import export_dataset
from records.dataset import open_dataset
from tests.libraries.environments import run_python

if TYPE_CHECKING:
    from pathlib import Path

_PRELUDE = """
import hashlib, json, sys
folder, split = sys.argv[1:]

def show(samples):
    print(json.dumps([
        [key, label, hashlib.sha256(image.tobytes()).hexdigest()] for key, label, image in samples
    ]))
"""
_DATASETS = """
import datasets
loaded = datasets.load_dataset(folder, split=split, cache_dir="cache")
assert loaded.features["label"].names == ["cat", "dog", "élan"]
keys = [row["image"]["path"] for row in loaded.cast_column("image", datasets.Image(decode=False))]
show((key, row["label"], row["image"]) for key, row in zip(keys, loaded))
"""
_WEBDATASET = """
import glob, webdataset
shards = sorted(glob.glob(f"{folder}/{split}-*.tar"))
samples = webdataset.WebDataset(shards, shardshuffle=False).decode("pil")
show((it["json"]["key"], it["cls"], it["png"]) for it in samples)
"""
# All workers get as many samples. Therefore, an epoch repeats some of them.
_STREAMING = """
import streaming
if __name__ == "__main__":
    streaming.base.util.clean_stale_shared_memory()
    dataset = streaming.StreamingDataset(local=folder, split=split, shuffle=True, batch_size=4)
    assert len(dataset) == sum(shard.samples for shard in dataset.shards)
    loader = streaming.StreamingDataLoader(dataset, batch_size=4, num_workers=2, collate_fn=list)
    read = {it["key"]: it for batch in loader for it in batch}
    assert len(read) == len(dataset)
    show((key, it["label"], it["image"]) for key, it in read.items())
"""


@pytest.mark.slow
@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize(
    ("library", "name", "program"),
    [
        ("datasets", "parquet", _DATASETS),
        ("webdataset", "webdataset", _WEBDATASET),
        ("streaming", "mds", _STREAMING),
    ],
)
def test_export_read_by_library_gives_each_image_with_its_label(
    *, tmp_path: Path, squares: Path, library: str, name: Any, program: str, split: Any
) -> None:
    export_dataset(str(squares), str(tmp_path / "out"), format=name, images_per_file=8)
    (tmp_path / "read.py").write_text(_PRELUDE + program)
    found = json.loads(run_python(library, tmp_path, "read.py", "out", split).splitlines()[-1])
    records = open_dataset(squares)[split]
    assert sorted(found) == sorted(
        [it.key, it.label, hashlib.sha256(it.decode().tobytes()).hexdigest()] for it in records
    )
