"""Worker process of the local runner, without Beam's output on stderr."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import redirect_stderr
from pathlib import Path


def main() -> None:
    """Run the Beam worker."""
    # Beam logs during its import; without a handler, logging would add a handler on stderr.
    logging.getLogger().addHandler(logging.NullHandler())
    # Beam prints the traceback of a worker exception, and also sends the traceback to the runner.
    with Path(os.devnull).open("w") as nowhere, redirect_stderr(nowhere):
        from apache_beam.runners.worker import sdk_worker_main

        try:
            sdk_worker_main.main(sys.argv)
        except Exception:  # the run that started this process has ended
            sys.exit(1)


if __name__ == "__main__":
    main()
