"""Worker process of the local runner, without Beam's output on stderr.

    python -m pipelines.runners.beam_worker DRIVER

DRIVER is the process ID of the driver, which must be the parent. The worker ends when its driver
does: after a kill of the driver, the threads of Beam and gRPC may keep a worker alive forever.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from contextlib import redirect_stderr
from pathlib import Path

_POLL_SECONDS = 1.0


def main() -> None:
    """Run the Beam worker."""
    _exit_with(driver=int(sys.argv.pop(1)))
    # Beam logs during its import; without a handler, logging would add a handler on stderr.
    logging.getLogger().addHandler(logging.NullHandler())
    # Beam prints the traceback of a worker exception, and also sends the traceback to the runner.
    with Path(os.devnull).open("w") as nowhere, redirect_stderr(nowhere):
        from apache_beam.runners.worker import sdk_worker_main

        try:
            sdk_worker_main.main(sys.argv)
        except Exception:  # the run that started this process has ended
            sys.exit(1)


def _exit_with(driver: int) -> None:
    """Make this process exit when its parent is no longer the driver."""

    def poll() -> None:
        while os.getppid() == driver:
            time.sleep(_POLL_SECONDS)
        os._exit(1)

    threading.Thread(target=poll, name="exit with driver", daemon=True).start()


if __name__ == "__main__":
    main()
