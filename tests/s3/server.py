"""The S3 server versitygw on the loopback interface.

`make s3-server` builds it. If it is not found, the tests that need it are reported as skipped.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import botocore.session
from botocore.config import Config

_BUILT_BY_MAKE = Path(__file__).parents[2] / ".s3-server" / "versitygw"
_START_SECONDS = 30.0
_REQUEST = re.compile(r" s3_(\w+) .*? /\S* (\d{3}) ")
ACCESS_KEY = "AKIAOFTESTSALONE"
SECRET_KEY = "secret/of+the+tests/which+no+output+may+show"
BUCKET = "photos-and-data"


def find_server() -> Path | None:
    """Return the binary that `make s3-server` builds, or the one on PATH."""
    if _BUILT_BY_MAKE.exists():
        return _BUILT_BY_MAKE
    found = shutil.which("versitygw")
    return None if found is None else Path(found)


def free_port() -> int:
    """Return an unused port of the loopback interface."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class S3Server:
    """The server; each bucket is a folder.

    Args:
        binary: of versitygw.
        folder: for buckets and the log of requests.
        host: the address to listen at.
    """

    def __init__(self, binary: Path, folder: Path, host: str = "127.0.0.1") -> None:
        self._binary = binary
        self._host = host
        self.port = free_port()
        self.endpoint = f"http://{host}:{self.port}"
        self.buckets = folder / "buckets"
        self.log = folder / "requests.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> Mapping[str, str]:
        """Return the environment that configures botocore for this server alone."""
        return environment_for(self.endpoint)

    def start(self) -> None:
        """Start the server and wait until it listens."""
        self.buckets.mkdir(parents=True, exist_ok=True)
        self._process = subprocess.Popen(
            [
                *(self._binary, "--port", f"{self._host}:{self.port}", "--keep-alive", "--quiet"),
                *("--access-log", self.log, "posix", self.buckets),
            ],
            env={**os.environ, "ROOT_ACCESS_KEY": ACCESS_KEY, "ROOT_SECRET_KEY": SECRET_KEY},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        end = time.monotonic() + _START_SECONDS
        while not _listens(self._host, self.port):
            assert self._process.poll() is None, "the server ended at once"
            assert time.monotonic() < end, "the server does not listen"
            time.sleep(0.02)

    def stop(self) -> None:
        """Kill the server as a power failure would; its files stay."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def restart_after(self, seconds: float) -> None:
        """Stop the server, and start it again after some seconds."""
        self.stop()
        time.sleep(seconds)
        self.start()

    def suspend(self, seconds: float) -> None:
        """Suspend the server for some seconds: it accepts connections, and does not respond."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        self._process.send_signal(signal.SIGCONT)

    def make_bucket(self, name: str = BUCKET) -> None:
        """Make a bucket."""
        self.client().create_bucket(Bucket=name)

    def client(self) -> Any:
        """Return a separate botocore client, to check the bucket."""
        return botocore.session.get_session().create_client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            region_name="us-east-1",
            config=Config(retries={"mode": "standard", "total_max_attempts": 3}),
        )

    def requests(self) -> list[str]:
        """Return the operation and status of every logged request: `PutObject 200`."""
        text = self.log.read_text(errors="replace")
        return [" ".join(found) for found in _REQUEST.findall(text)]


def environment_for(endpoint: str) -> Mapping[str, str]:
    """Return the environment that configures botocore for a server at a URL alone."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_REGION": "us-east-1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def _listens(host: str, port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((host, port)) == 0
