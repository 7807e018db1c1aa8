"""Some days with one seed: `python -m tests.days --days 100 --seed 1`.

Without `--s3`, the source and the dataset are local folders. With it, they are folders of a bucket
of a real S3 server, which is killed or suspended for some seconds in some days.
"""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import sys
import tempfile
from pathlib import Path

import click

from tests.days.days import Days
from tests.days.places import pass_local_days, pass_s3_days
from tests.s3.server import S3Server, find_server


def main() -> None:
    """Pass the days, and print what has happened in them."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.days",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--days", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--s3", action="store_true")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    folder = Path(tempfile.mkdtemp(prefix="shardmill-days-"))
    pass_days = _pass_s3_days if options.s3 else pass_local_days
    passed = pass_days(folder, options.seed, options.days)
    shutil.rmtree(folder)  # it remains after a failure
    click.echo(f"seed {options.seed}, {options.days} days: {dict(passed.counts)}")


def _pass_s3_days(folder: Path, seed: int, number: int) -> Days:
    binary = find_server()
    if binary is None:
        sys.exit("needs the S3 server of the tests: `make s3-server` builds it")
    server = S3Server(binary, folder)
    server.start()
    try:
        os.environ.update(server.environment)
        server.make_bucket()
        return pass_s3_days(folder, server, seed, number)
    finally:
        server.stop()


if __name__ == "__main__":
    main()
