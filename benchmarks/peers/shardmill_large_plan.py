"""Planning of generated sources: `shardmill_large_plan.py IMAGES OUT`.

The program generates sources without files, and writes their plan.
"""

import sys
import time

import pyarrow as pa
from class_folders import report

from pipelines.planning.plan import make_plan
from pipelines.run_state import write_run, write_shard_plans
from pipelines.sources.base import SourceImage, Sources
from records.format.manifest import Settings
from records.runtime.malloc import table_blocks_returned
from records.storage import open_storage

_CLASSES = 1000
_SIZE_BYTES = 110_000
_FIRST_FINGERPRINT = 1_700_000_000_000_000_000


def main(images: str, out: str) -> None:
    """Generate the sources, plan them, write the plan, and report the total time."""
    started = time.perf_counter()
    pa.set_memory_pool(pa.system_memory_pool())  # as on the command line
    with table_blocks_returned():  # as `convert` does
        plan = make_plan(make_up(int(images)), Settings(test=0.1))
    write_shard_plans(open_storage(out), plan)
    write_run(open_storage(out), plan, "convert", {})
    report(plan.images, started)


def make_up(images: int) -> Sources:
    """Return generated sources that have no files."""
    sources = Sources(tuple(f"class-{number:04d}" for number in range(_CLASSES)), "classes")
    for number in range(images):
        label = number * 7919 % _CLASSES
        key = b"class-%04d/IMG_%08d.jpg" % (label, number)
        sources.add(SourceImage(key, label, _SIZE_BYTES, fingerprint=_FIRST_FINGERPRINT + number))
    return sources


if __name__ == "__main__":
    main(*sys.argv[1:])
