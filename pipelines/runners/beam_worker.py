"""Worker process of the local runner, without Beam's output on stderr."""

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
    # Beam prints the traceback of a worker's exception, and also sends it to the runner.
    with Path(os.devnull).open("w") as nowhere, redirect_stderr(nowhere):
        from apache_beam.runners.worker import sdk_worker_main

        try:
            sdk_worker_main.main(sys.argv)
        except Exception:  # the run that started this process has ended
            sys.exit(1)


if __name__ == "__main__":
    main()
