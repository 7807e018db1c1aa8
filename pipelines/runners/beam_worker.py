"""A worker process of the local runner: Beam's own, which logs to the runner and not to stderr."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import redirect_stderr
from pathlib import Path


def main() -> None:
    """Run Beam's worker."""
    # Beam logs while it is imported; without a handler that would set one up on stderr.
    logging.getLogger().addHandler(logging.NullHandler())
    # It prints the trace of what a worker raises, and sends it to the runner as well.
    with Path(os.devnull).open("w") as nowhere, redirect_stderr(nowhere):
        from apache_beam.runners.worker import sdk_worker_main

        try:
            sdk_worker_main.main(sys.argv)
        except Exception:  # the run that started it is gone
            sys.exit(1)


if __name__ == "__main__":
    main()
