"""Conversion to ArrayRecord files: `array_record_writer.py SOURCE OUT [SHARD_BYTES]`."""

import sys
import time
from pathlib import Path

from array_record.python.array_record_module import ArrayRecordWriter
from class_folders import list_images, report, shard_bytes_of

LABEL_BYTES = 8
# One record per group suits random access. JPEG and PNG images are already compressed.
_OPTIONS = "group_size:1,uncompressed"


def main(source: Path, out: Path, shard_bytes: int) -> None:
    """Write the label and the bytes of every file of every class folder into ArrayRecord files."""
    started = time.perf_counter()
    images = list_images(source)
    out.mkdir(parents=True)
    sizes = [image.path.stat().st_size for image in images]
    shards = -(-sum(sizes) // shard_bytes)
    for number in range(shards):
        path = out / f"train-{number:05d}-of-{shards:05d}.array_record"
        writer = ArrayRecordWriter(str(path), _OPTIONS)
        for image in images[number::shards]:
            writer.write(image.label.to_bytes(LABEL_BYTES, "little") + image.path.read_bytes())
        writer.close()
    report(len(images), started)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), shard_bytes_of(sys.argv))
