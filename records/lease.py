"""One writer at a time on an object store, which has no locks: a lease object that runs out.

The holder renews it; one that died does not, and after `LEASE_SECONDS` another run takes it over.
What a lease cannot promise (a holder that slept past its end) the store's own "only if absent"
does: a published file is never overwritten.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import msgspec

from records.errors import BusyError, ShardmillError
from records.layout import WORK_FOLDER
from records.untrusted import decode_json

if TYPE_CHECKING:
    from records.storage_fsspec import FsspecStorage

LEASE_SECONDS = 120.0
_RENEW_SECONDS = 30.0
_NAME = f"{WORK_FOLDER}/lease.json"


class Lease(msgspec.Struct, frozen=True):
    """Who holds the folder (a random token), and until when (Unix time, seconds)."""

    token: str
    ends_at: float


@contextmanager
def hold_lease(storage: FsspecStorage) -> Iterator[None]:
    """Hold the folder's lease while the block runs, renewed in the background.

    Raises:
        BusyError: another run holds it.
    """
    token = secrets.token_hex(16)
    _take(storage, token)
    done = threading.Event()
    renewer = threading.Thread(target=_renew, args=(storage, token, done), daemon=True)
    renewer.start()
    try:
        yield
    finally:
        done.set()
        renewer.join()
        if _holder(storage) == token:
            storage.remove(_NAME)


def _take(storage: FsspecStorage, token: str) -> None:
    try:
        storage.create_bytes(_NAME, _encoded(token))
    except FileExistsError:
        with suppress(FileNotFoundError, msgspec.DecodeError):
            present = decode_json(storage.read(_NAME), Lease)
            if present.ends_at > time.time():
                raise BusyError(
                    "another run is writing here",
                    path=storage.url,
                    hint=f"wait for it to end; a dead one frees it in {LEASE_SECONDS:.0f} s",
                ) from None
        storage.replace(_NAME, _encoded(token))
    if _holder(storage) != token:
        raise BusyError("another run has just begun to write here", path=storage.url)


def _renew(storage: FsspecStorage, token: str, done: threading.Event) -> None:
    while not done.wait(_RENEW_SECONDS):
        # A renewal that fails is tried again at the next turn; the lease outlives three of them.
        with suppress(ShardmillError, OSError):
            storage.replace(_NAME, _encoded(token))


def _holder(storage: FsspecStorage) -> str | None:
    try:
        return decode_json(storage.read(_NAME), Lease).token
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def _encoded(token: str) -> bytes:
    return msgspec.json.encode(Lease(token, time.time() + LEASE_SECONDS))
