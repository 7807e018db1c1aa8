"""Server process of the command `serve`."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.trainers.serving.client import Client

SECONDS = 120


class ServerProcess:
    """A running command `serve`, and its client."""

    def __init__(self, process: subprocess.Popen[str], output: str) -> None:
        self.process = process
        self.output = output
        (url,) = re.findall(r"http://[\w.:]+/", output)
        self.client = Client(url)
        self._lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr
        self._lines.extend(self.process.stderr)

    def stop(self, *signals: int) -> int:
        """Send signals, and return the exit code."""
        for number in signals:
            self.process.send_signal(number)
        return self.process.wait(SECONDS)

    @property
    def stderr(self) -> str:
        """Everything on stderr; call it after the end."""
        self._reader.join(SECONDS)
        return "".join(self._lines)


@contextmanager
def running(run: Path, *options: object) -> Iterator[ServerProcess]:
    """Yield a server on a free port."""
    command = [sys.executable, "-m", "shardmill", "serve", run, "--port", 0, *options]
    with subprocess.Popen(
        [*map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout
            output = process.stdout.readline()
            while output.startswith("{") and not output.endswith("}\n"):
                output += process.stdout.readline()
            assert output, process.stderr and process.stderr.read()
            yield ServerProcess(process, output)
        finally:
            process.kill()
