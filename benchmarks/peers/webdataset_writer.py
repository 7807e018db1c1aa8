"""TAR files with WebDataset's `ShardWriter`: `webdataset_writer.py SOURCE OUT [SHARD_BYTES]`."""

import sys
import time
from pathlib import Path

import webdataset
from class_folders import list_images, report, shard_bytes_of


def main(source: Path, out: Path, shard_bytes: int) -> None:
    """Write every file of every class folder into TAR files."""
    started = time.perf_counter()
    images = list_images(source)
    out.mkdir(parents=True)
    pattern = str(out / "train-%05d.tar")
    with webdataset.ShardWriter(
        pattern, maxcount=len(images), maxsize=shard_bytes, verbose=0
    ) as writer:
        for image in images:
            key, extension = image.key.rsplit(".", 1)
            encoded = image.path.read_bytes()
            writer.write({"__key__": key, extension: encoded, "cls": image.label})
    report(len(images), started)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), shard_bytes_of(sys.argv))
