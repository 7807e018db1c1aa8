"""The command line in this process, which has imported its modules already."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest

import shardmill.cli
from records.runtime.logging import set_log_format


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


Run = Callable[..., Ended]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """Return a function that runs a command with its arguments."""

    def run_here(*arguments: str | os.PathLike[str] | int) -> Ended:
        monkeypatch.setattr(sys, "argv", ["shardmill", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            shardmill.cli.main()
        return Ended(int(ended.value.code or 0), *capfd.readouterr())

    before = signal.getsignal(signal.SIGTERM)
    yield run_here
    set_log_format("text")
    signal.signal(signal.SIGTERM, before)
