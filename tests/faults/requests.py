"""Processes that are killed at one of their requests to a store."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from records.storage.fsspec import FsspecStorage
from tests.faults.calls import KilledError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def killed_at_request(number: int) -> Iterator[None]:
    """Raise KilledError at a request of this thread to a store of fsspec, and at all later ones.

    The thread of the lease still releases the lease.
    """
    send, left = vars(FsspecStorage)["_retry"], number

    def count(
        storage: FsspecStorage, name: str, action: Callable[[], Any], *, writes: bool = False
    ) -> Any:
        nonlocal left
        if threading.current_thread() is threading.main_thread():
            left -= 1
            if left <= 0:
                raise KilledError
        return send(storage, name, action, writes=writes)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FsspecStorage, "_retry", count)
        yield
