"""Server in this process, on a real socket."""

from __future__ import annotations

import faulthandler
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.trainers.serving.client import Client
from trainers.serving.app import load_model
from trainers.serving.limits import Limits
from trainers.serving.server import listen, make_server
from trainers.serving.state import ServerState

SECONDS = 60


@dataclass(frozen=True)
class Served:
    """A server and its client."""

    client: Client
    state: ServerState


@contextmanager
def serving(run: Path, name: str, limits: Limits) -> Iterator[Served]:
    """Yield a server of a run; check at the end that it has answered every request."""
    with listen("127.0.0.1", 0) as listener:
        state = load_model(run, name, limits)
        started = threading.Event()
        server = make_server(state, started.set)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        host, port = listener.getsockname()
        thread.start()
        try:
            assert started.wait(SECONDS)
            yield Served(Client(f"http://{host}:{port}/"), state)
        finally:
            server.should_exit = True
            thread.join(SECONDS)
            if thread.is_alive():
                faulthandler.dump_traceback(2)
        assert not thread.is_alive()
    assert state.open_requests == 0
