"""Conversion to Parquet files: `parquet_writer.py SOURCE OUT [SHARD_BYTES]`."""

import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from class_folders import list_images, report, shard_bytes_of

_GROUP_ROWS = 100  # as in Hugging Face datasets for images
_SCHEMA = pa.schema([("image", pa.binary()), ("label", pa.int64())])


def main(source: Path, out: Path, shard_bytes: int) -> None:
    """Write the bytes and the label of every file of every class folder into Parquet files."""
    started = time.perf_counter()
    images = list_images(source)
    out.mkdir(parents=True)
    shards = -(-sum(image.path.stat().st_size for image in images) // shard_bytes)
    for number in range(shards):
        rows = [
            {"image": image.path.read_bytes(), "label": image.label}
            for image in images[number::shards]
        ]
        path = out / f"train-{number:05d}-of-{shards:05d}.parquet"
        pq.write_table(pa.Table.from_pylist(rows, _SCHEMA), path, row_group_size=_GROUP_ROWS)
    report(len(images), started)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), shard_bytes_of(sys.argv))
