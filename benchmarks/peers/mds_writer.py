"""Conversion with MosaicML's `MDSWriter`: `mds_writer.py SOURCE OUT [SHARD_BYTES]`."""

import sys
import time
from pathlib import Path

from class_folders import list_images, report, shard_bytes_of
from streaming import MDSWriter

_COLUMNS = {"image": "bytes", "label": "int", "key": "str"}


def main(source: Path, out: Path, shard_bytes: int) -> None:
    """Write every file of every class folder into shards with hashes, as recommended."""
    started = time.perf_counter()
    images = list_images(source)
    with MDSWriter(
        out=str(out), columns=_COLUMNS, hashes=["xxh64"], size_limit=shard_bytes
    ) as writer:
        for image in images:
            encoded = image.path.read_bytes()
            writer.write({"image": encoded, "label": image.label, "key": image.key})
    report(len(images), started)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), shard_bytes_of(sys.argv))
