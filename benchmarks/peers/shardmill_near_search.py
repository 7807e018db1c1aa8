"""Search for near-duplicates among random hashes: `shardmill_near_search.py IMAGES`."""

import json
import sys

from benchmarks.suites.near_duplicates import time_search


def main(images: str) -> None:
    """Search, and report the time without the making of the hashes."""
    print(json.dumps({"images": int(images), "seconds": time_search(int(images))}))


if __name__ == "__main__":
    main(*sys.argv[1:])
