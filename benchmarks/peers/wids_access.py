"""Random access to local TAR files with wids (WebDataset): `wids_access.py FOLDER DRAWS`."""

import sys
import tarfile
from pathlib import Path

import wids
from draws import read_at_random


def main(folder: Path, draws: int) -> None:
    """Read records by their numbers."""
    shards = [describe(path) for path in sorted(folder.glob("*.tar"))]
    records = wids.ShardListDataset(
        shards, transformations=[], keep=True, cache_dir=f"{folder}.cache"
    )

    def read(number: int) -> tuple[bytes, int]:
        record = records[number]
        name = next(name for name in record if name in {".jpg", ".png"})
        return record[name].read(), int(record[".cls"].read())

    read_at_random(len(records), draws, read)


def describe(path: Path) -> dict[str, object]:
    """Return a shard and its number of examples, as in an index of wids."""
    with tarfile.open(path) as tar:
        keys = {name.rpartition(".")[0] for name in tar.getnames()}
    return {"url": str(path), "nsamples": len(keys)}


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
