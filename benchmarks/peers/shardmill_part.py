"""CPU time of one part of a conversion, on one thread: `shardmill_part.py PART SOURCE OUT`.

plan      list the source and plan the shards
header    open, read, hash and check every file, without decoding
decode    the same, and decode every image
write     make the Example, the frame and the checksums of every image, and write shards and indexes

Only the part itself is timed.
"""

import json
import sys
import time
from collections.abc import Iterator

from pipelines.options import ConvertOptions
from pipelines.planning.plan import Plan, ShardPlan, make_plan
from pipelines.sources import list_sources
from pipelines.sources.reader import open_source
from pipelines.writing import shard
from pipelines.writing.convert_job import ConvertJob
from pipelines.writing.prefetch import PrefetchedImage, prefetch_images
from records.format.image_options import ImageOptions
from records.images import normalize_image
from records.storage import open_storage


def main(part: str, source: str, output: str) -> None:
    """Measure one part, and report its CPU time."""
    options = ConvertOptions(source=source, output=output)
    started = time.thread_time()
    plan = make_plan(list_sources(options), options.settings())
    seconds = time.thread_time() - started if part == "plan" else 0.0
    shards = [] if part == "plan" else [each.to_plan(plan) for each in plan.shards]
    for each in shards:
        images = ImageOptions(check="decode" if part == "decode" else "header")
        chunks = list(time_reading(each, source, images))
        if part == "write":
            seconds += time_writing(each, plan, output, [chunk for chunk, _ in chunks])
        else:
            seconds += sum(elapsed for _, elapsed in chunks)
    print(json.dumps({"images": plan.images, "seconds": seconds}))


def time_reading(
    plan: ShardPlan, source: str, images: ImageOptions
) -> Iterator[tuple[list[PrefetchedImage], float]]:
    """Yield the images of a shard in chunks, and the time of each chunk."""
    chunks = prefetch_images(
        plan.images,
        open_source(source, follow_symlinks=False),
        images,
        normalize=normalize_image,
        threads=0,
        inline_until_blocked=False,
        timeout_s=0,
        isolate=None,
    )
    while True:
        started = time.thread_time()
        chunk = next(chunks, None)
        if chunk is None:
            return
        yield chunk, time.thread_time() - started


def time_writing(
    shard_plan: ShardPlan, plan: Plan, output: str, chunks: list[list[PrefetchedImage]]
) -> float:
    """Return the time to write the images of a shard that have been read before."""
    shard.prefetch_images = lambda *_, **__: iter(chunks)
    job = ConvertJob("", output, output, plan.labels, ImageOptions(), 1, False, 60)
    started = time.thread_time()
    shard.convert_images(job, shard_plan, open_storage(output), normalize_image, lambda _: None)
    return time.thread_time() - started


if __name__ == "__main__":
    main(*sys.argv[1:])
