"""Lease of a run that a signal interrupts."""

from __future__ import annotations

import threading
import time
import uuid

import pytest

from records.format.layout import LEASE
from records.storage import open_storage


@pytest.mark.parametrize("is_started", [False, True])
def test_lease_interrupted_while_its_renewal_starts_raises_the_interrupt(
    monkeypatch: pytest.MonkeyPatch, is_started: bool
) -> None:
    class Interrupted(threading.Thread):
        def start(self) -> None:
            if is_started:
                super().start()
            raise KeyboardInterrupt  # of a signal

    storage = open_storage(f"memory://{uuid.uuid4().hex}")
    monkeypatch.setattr(threading, "Thread", Interrupted)
    with pytest.raises(KeyboardInterrupt), storage.lock():
        raise AssertionError("the block must not run")
    while is_started and storage.stat(LEASE) is not None:
        time.sleep(0.01)
