"""Server that starts programs in forks of a process that has already imported Keras and others.

The import of Keras takes most of the time of a short program. A fork has its modules, but its own
arguments, folder, environment and standard streams. Linux only.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import io
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import types
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

from trainers.backend import capture_native_logs

if TYPE_CHECKING:
    from collections.abc import Iterator

_MODULES = (
    *("keras", "tensorflow", "matplotlib.figure", "pyarrow.dataset", "shardmill.cli"),
    *("pipelines.run", "records.verification", "trainers.training.train", "trainers.prediction"),
)
"""Modules that many commands import."""

# A program that reads no other modules starts in 10 ms.
_CLIENT = """\
#!{python} -IS
import json, os, signal, socket, sys
umask = os.umask(0)
os.umask(umask)
request = json.dumps([sys.argv, os.getcwd(), dict(os.environ), umask]).encode()
server = socket.socket(socket.AF_UNIX)
server.connect({address!r})
socket.send_fds(server, [len(request).to_bytes(8, "big")], [0, 1, 2])
server.sendall(request)
answer = server.recv(8)
status = int(answer) if answer else 1
if status < 0:
    if -status not in (signal.SIGKILL, signal.SIGSTOP):
        signal.signal(-status, signal.SIG_DFL)
    os.kill(os.getpid(), -status)
sys.exit(status)
"""


@contextmanager
def serve() -> Iterator[Path]:
    """Start the server; yield a folder with the programs `shardmill` and `python-c TEXT`."""
    with tempfile.TemporaryDirectory() as folder:
        address = Path(folder, "socket")
        programs = Path(folder, "programs")
        programs.mkdir()
        for name in ("shardmill", "python-c"):
            program = programs / name
            program.write_text(_CLIENT.format(python=sys.executable, address=str(address)))
            program.chmod(0o755)
        variables = {
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "KERAS_BACKEND": "tensorflow",
            "KERAS_HOME": folder,
            "ARROW_DEFAULT_MEMORY_POOL": "system",
            "MPLBACKEND": "agg",
            "MATPLOTLIBRC": os.devnull,
            "PYTHONSAFEPATH": "1",
        }
        server = subprocess.Popen(
            [sys.executable, __file__, address],
            env=os.environ | variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert server.stdin is not None
        assert server.stdout is not None
        try:
            server.stdout.readline()  # the address exists
            yield programs
        finally:
            server.terminate()
            server.communicate()


def _accept(address: str) -> None:
    """Run each requested program in a fork until stdin ends."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen(64)
        sys.stdout.write("\n")
        sys.stdout.flush()
        with capture_native_logs():
            for name in _MODULES:
                importlib.import_module(name)
        gc.freeze()  # the collections of a fork would copy this memory
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no zombies
        while listener in select.select([listener, sys.stdin], [], [])[0]:
            client, _ = listener.accept()
            if os.fork() == 0:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                listener.close()
                _answer(client)
                os._exit(0)
            client.close()


def _answer(client: socket.socket) -> None:
    """Run a program in another fork, and tell the client its exit status."""
    length, streams, _, _ = socket.recv_fds(client, 8, 3)
    with client.makefile("rb") as stream:
        request = json.loads(stream.read(int.from_bytes(length, "big")))
    process = get_context("fork").Process(target=_run, args=(streams, *request))
    process.start()

    def kill_if_client_ends() -> None:
        with suppress(ConnectionError):
            client.recv(1)
        process.kill()

    threading.Thread(target=kill_if_client_ends, daemon=True).start()
    process.join()
    with suppress(BrokenPipeError):
        client.sendall(b"%d" % (process.exitcode or 0))


def _run(
    streams: list[int], argv: list[str], folder: str, environment: dict[str, str], umask: int
) -> None:
    """Run a program in this process."""
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
        os.close(descriptor)
    # New streams find out whether they are terminals.
    sys.stdin, sys.stdout, sys.stderr = (
        io.TextIOWrapper(open(number, mode, closefd=False), line_buffering=number == 2)  # noqa: SIM115
        for number, mode in enumerate(("rb", "wb", "wb"))
    )
    os.chdir(folder)
    os.umask(umask)
    os.environ.clear()
    os.environ.update(environment)
    main = sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        if Path(argv[0]).name == "shardmill":
            sys.argv = argv
            importlib.import_module("shardmill.cli").main()
        else:
            sys.argv = ["-c"]
            exec(compile(argv[1], "<string>", "exec"), main.__dict__)
    finally:
        atexit._run_exitfuncs()  # noqa: SLF001 # a process of multiprocessing does not


if __name__ == "__main__":
    _accept(sys.argv[1])
