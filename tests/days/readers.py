"""The number of records of each split, by every reader: `python -m tests.days.readers DATASET`.

Prints a JSON object: the name of each reader, and the counts that it finds.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from records import open_dataset
from records.format.layout import index_name
from records.storage import open_storage

Counts = dict[str, int]


def count_with_all_readers(dataset: str) -> dict[str, Counts]:
    """Return the counts of each reader, those with TensorFlow in another process."""
    ended = subprocess.run(
        [sys.executable, "-m", __name__, dataset],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        stdout=subprocess.PIPE,
        check=True,
    )
    found: dict[str, Counts] = json.loads(ended.stdout.splitlines()[-1])
    return found


def count_index_rows(dataset: str) -> Counts:
    """Return the numbers of rows of the Parquet indexes, read with PyArrow alone."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    storage = open_storage(dataset)

    def rows(shard: str) -> int:
        content = pa.BufferReader(storage.read(index_name(shard)))
        return int(pq.read_metadata(content).num_rows)

    return {
        name: sum(rows(shard.name) for shard in split.info.shards)
        for name, split in open_dataset(dataset).items()
    }


def _count_tf_data(files: dict[str, list[str]]) -> Counts:
    import tensorflow as tf

    return {split: sum(1 for _ in tf.data.TFRecordDataset(paths)) for split, paths in files.items()}


def _count_batches(dataset: str) -> Counts:
    import shardmill as sm

    return {
        split: sum(len(labels) for _, labels in sm.as_tf_dataset(dataset, split, image_size=8))
        for split in open_dataset(dataset)
    }


def _count_tfds(files: dict[str, list[str]]) -> Counts:
    import tensorflow_datasets as tfds

    folders = sorted({str(Path(path).parent) for paths in files.values() for path in paths})
    builder = tfds.builder_from_directories(folders)
    return {split: sum(1 for _ in builder.as_dataset(split=split)) for split in builder.info.splits}


def _list_files(dataset: str, splits: list[str]) -> dict[str, list[str]]:
    """Return the output of `shardmill files` for each split."""
    command = [sys.executable, "-m", "shardmill", "files", dataset, "--split"]
    return {
        split: subprocess.run([*command, split], stdout=subprocess.PIPE, text=True, check=True)
        .stdout.splitlines()
        for split in splits
    }  # fmt: skip


def _copy_to(folder: Path, dataset: str) -> str:
    """Copy a dataset to a local folder, for readers that have no support for object stores."""
    storage = open_storage(dataset)
    for name in storage.list():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(storage.read(name))
    return str(folder)


def _main(dataset: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        local = dataset if "://" not in dataset else _copy_to(Path(folder), dataset)
        opened = open_dataset(dataset)
        files = _list_files(local, [*opened])
        found: dict[str, Any] = {
            "open_dataset": {name: len(split) for name, split in opened.items()},
            "indexes": count_index_rows(dataset),
            "as_tf_dataset": _count_batches(dataset),
            "tf.data": _count_tf_data(files),
            "TFDS": _count_tfds(files),
        }
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    _main(sys.argv[1])
