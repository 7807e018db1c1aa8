"""Requests of many clients to a server: `shardmill_server.py RUN SOURCE [CLIENTS]`.

Each client sends one request after another on its connection. All clients are in this process, on
the same cores as the server.
"""

import asyncio
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from class_folders import list_images, report

_WARM_UP = 64
_HEAD = "POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n"


async def send(host: str, port: int, paths: Iterator[Path], seconds: list[float]) -> None:
    """Send photos until none is left, and note the time of each answer."""
    reader, writer = await asyncio.open_connection(host, port)
    for path in paths:
        content = path.read_bytes()
        started = time.perf_counter()
        writer.write(_HEAD.format(len(content)).encode() + content)
        head = await reader.readuntil(b"\r\n\r\n")
        (length,) = (
            int(line.partition(b":")[2])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length:")
        )
        await reader.readexactly(length)
        if not head.startswith(b"HTTP/1.1 200"):
            raise SystemExit(head.decode())
        seconds.append(time.perf_counter() - started)
    writer.close()


async def send_all(url: str, paths: list[Path], clients: int) -> list[float]:
    """Send all photos; return the time of each answer."""
    address, left, seconds = urlsplit(url), iter(paths), list[float]()
    assert address.hostname
    assert address.port
    host, port = address.hostname, address.port
    await asyncio.gather(*(send(host, port, left, seconds) for _ in range(clients)))
    return seconds


def main(run: str, source: str, clients: str = "64") -> None:
    """Start a server, send all photos, and report the time without that of the start."""
    paths = [image.path for image in list_images(Path(source))]
    command = [sys.executable, "-m", "shardmill", "serve", run, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        url = server.stdout.readline().split()[-1]
        asyncio.run(send_all(url, paths[:_WARM_UP], int(clients)))
        started = time.perf_counter()
        seconds = asyncio.run(send_all(url, paths, int(clients)))
        cuts = statistics.quantiles(seconds, n=100)
        report(len(seconds), started, p50_s=cuts[49], p99_s=cuts[98])
        server.send_signal(signal.SIGTERM)
        if server.wait():
            raise SystemExit(f"the server ended with {server.returncode}")


if __name__ == "__main__":
    main(*sys.argv[1:])
