"""Time of planning without writing: `shardmill_plan.py SOURCE OUT`."""

import sys
import time

from class_folders import report

from pipelines.options import ConvertOptions
from pipelines.planning.plan import make_plan
from pipelines.sources import list_sources


def main(source: str, output: str) -> None:
    """List and plan; report only the time of planning."""
    options = ConvertOptions(source=source, output=output)
    sources = list_sources(options)
    started = time.perf_counter()
    plan = make_plan(sources, options.settings())
    report(plan.images, started)


if __name__ == "__main__":
    main(*sys.argv[1:])
