"""`optimize` of LitData with two workers: `litdata_optimize.py SOURCE OUT [SHARD_BYTES]`."""

import os
import sys
import time
from pathlib import Path
from typing import Any

_OUT = Path(sys.argv[2])
# LitData deletes these folders. By default, they have fixed names in the temporary folder.
os.environ["DATA_OPTIMIZER_CACHE_FOLDER"] = f"{_OUT}/scratch/chunks"
os.environ["DATA_OPTIMIZER_DATA_CACHE_FOLDER"] = f"{_OUT}/scratch/data"

from class_folders import ImageFile, list_images, report, shard_bytes_of  # noqa: E402
from litdata import optimize  # noqa: E402

_WORKERS = 2


def read(image: ImageFile) -> dict[str, Any]:
    """Return one example as LitData stores it."""
    return {"image": image.path.read_bytes(), "label": image.label, "key": image.key}


def main(source: Path, out: Path, shard_bytes: int) -> None:
    """Write every file of every class folder into chunks."""
    started = time.perf_counter()
    images = list_images(source)
    optimize(
        fn=read,
        inputs=images,
        output_dir=str(out / "data"),
        num_workers=_WORKERS,
        chunk_bytes=shard_bytes,
    )
    report(len(images), started)


if __name__ == "__main__":
    main(Path(sys.argv[1]), _OUT, shard_bytes_of(sys.argv))
