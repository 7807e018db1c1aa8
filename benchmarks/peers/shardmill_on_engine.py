"""`convert` on an engine: `shardmill_on_engine.py ENGINE WORKERS SOURCE OUT`.

The program starts the engine, runs a job with a few images, and then measures the command.
"""

from __future__ import annotations

import itertools
import json
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from records import open_dataset
from tests.clusters.testbed import engines
from tests.clusters.testbed.flink import flink_cluster, flink_here
from tests.clusters.testbed.spark import spark_here
from tests.clusters.testbed.workers import build_wheel, make_environment

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_WARM_IMAGES = 20
_SHARDS = 8


@contextmanager
def start(engine: str, workers: int, folder: Path) -> Iterator[Sequence[str]]:
    """Start an engine, yield the flags that `convert` needs for it, and stop the engine."""
    if engine == "local":
        yield ("--processes=1",)
    elif engine == "processes":
        count = f"--direct_num_workers={workers}"
        yield ("--", "--direct_running_mode=multi_processing", count)
    elif engine == "prism":
        yield ("--runner=prism", "--", f"--prism_location={engines.prism()}")
    elif engine == "spark":
        with spark_here(folder, workers) as flags:
            yield ("--runner=spark", "--", *flags)
    elif engine == "flink":
        with flink_here(folder) as flags:
            yield ("--runner=flink", "--", *flags, f"--parallelism={workers}")
    else:
        environment = make_environment(folder / "worker", build_wheel(folder))
        with flink_cluster(folder, environment, workers) as cluster:
            yield ("--runner=flink", "--", *cluster.flags())


def convert(source: Path, target: Path, flags: Sequence[str]) -> float:
    """Convert with one thread per worker, and return the seconds of the whole command."""
    options = ("--quiet", "--workers=1", f"--shards={_SHARDS}")
    command = [sys.executable, "-m", "shardmill", "convert", source, target, *options, *flags]
    started = time.perf_counter()
    subprocess.run(command, check=True)
    return time.perf_counter() - started


def main() -> None:
    """Start the engine, warm it up, and measure the command."""
    # After SIGTERM, too, the engine must be stopped.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    engine, workers, source, out = (
        sys.argv[1],
        int(sys.argv[2]),
        Path(sys.argv[3]),
        Path(sys.argv[4]),
    )
    folder = out / "engine"
    folder.mkdir(parents=True)
    for path in itertools.islice(source.rglob("*.jpg"), _WARM_IMAGES):
        (out / "few" / path.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, out / "few" / path.parent.name)
    with start(engine, workers, folder) as flags:
        convert(out / "few", out / "warm", flags)
        seconds = convert(source, out / "data", flags)
    images = len(open_dataset(out / "data")["train"])
    print(json.dumps({"seconds": seconds, "images": images}))


if __name__ == "__main__":
    main()
