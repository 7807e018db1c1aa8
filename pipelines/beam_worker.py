"""A worker process of the local runner: Beam's own, which logs to the runner and not to stderr."""

from __future__ import annotations

import logging
import sys


def main() -> None:
    """Run Beam's worker."""
    # Beam logs while it is imported; without a handler that would set one up on stderr.
    logging.getLogger().addHandler(logging.NullHandler())
    from apache_beam.runners.worker import sdk_worker_main

    sdk_worker_main.main(sys.argv)


if __name__ == "__main__":
    main()
