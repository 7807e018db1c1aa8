"""A real S3 server on loopback, versitygw, started and stopped by tests; its files in a folder.

`make s3-server` builds it. Where it is not found, the tests that need it are reported as skipped.
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

_BESIDE_THE_TESTS = Path(__file__).parents[2] / ".s3-server" / "versitygw"
_START_SECONDS = 30.0
_REQUEST = re.compile(r" s3_(\w+) .*? /\S* (\d{3}) ")
ACCESS_KEY = "AKIAOFTESTSALONE"
SECRET_KEY = "secret/of+the+tests/which+no+output+may+show"
BUCKET = "photos-and-data"


def find_server() -> Path | None:
    """The server's binary: where `make s3-server` builds it, or on PATH."""
    if _BESIDE_THE_TESTS.exists():
        return _BESIDE_THE_TESTS
    found = shutil.which("versitygw")
    return None if found is None else Path(found)


def free_port() -> int:
    """A port on loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class S3Server:
    """The server, which keeps a bucket as a folder.

    Args:
        binary: of versitygw.
        folder: where buckets, and the log of requests, lie.
        host: the address of this machine to listen at.
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
        """What tells botocore of this server, and of nothing else on this machine."""
        return environment_of(self.endpoint)

    def start(self) -> None:
        """Start it, and wait until it listens."""
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
        """Kill it, as a machine that loses power; what it has stored stays."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def make_bucket(self, name: str = BUCKET) -> None:
        """Make a bucket."""
        self.client().create_bucket(Bucket=name)

    def client(self) -> Any:
        """A client of botocore's, to look from outside."""
        return botocore.session.get_session().create_client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            region_name="us-east-1",
            config=Config(retries={"mode": "standard", "total_max_attempts": 3}),
        )

    def requests(self) -> list[str]:
        """Every request that is in the log, by its operation and status: `PutObject 200`."""
        text = self.log.read_text(errors="replace")
        return [" ".join(found) for found in _REQUEST.findall(text)]


def environment_of(endpoint: str) -> Mapping[str, str]:
    """What tells botocore of a server at a URL, and of nothing else on this machine."""
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
