"""Conversion with MosaicML's `MDSWriter`: `mds_writer.py SOURCE OUT`."""

import sys
import time
from pathlib import Path

from class_folders import list_images, report
from streaming import MDSWriter

_SHARD_BYTES = 128 << 20
_COLUMNS = {"image": "bytes", "label": "int", "key": "str"}


def main(source: Path, out: Path) -> None:
    """Write every file of every class folder into shards of 128 MB with hashes, as recommended."""
    started = time.perf_counter()
    images = list_images(source)
    with MDSWriter(
        out=str(out), columns=_COLUMNS, hashes=["xxh64"], size_limit=_SHARD_BYTES
    ) as writer:
        for image in images:
            encoded = image.path.read_bytes()
            writer.write({"image": encoded, "label": image.label, "key": image.key})
    report(len(images), started)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
