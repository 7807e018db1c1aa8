"""The lock of a folder on an object store: an expiring lease.

    .shardmill/lease.json   {"token": holder, "renewal": number, "renewed_at": Unix time}

An object store has no locks. The lease is created only if it does not exist. Its holder renews it
four times per lifetime; if the holder has crashed, the lease expires. Another run then takes over
the lease by a conditional write, which only one of several runs can complete. The clock of the
store measures the age of the lease. If another run took over while a holder was suspended, the
store refuses the next renewal of that holder. Every holder renews its lease right before it
publishes a manifest.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import msgspec

from records.errors import LockedError, OutputError, ShardmillError, StorageError
from records.storage.errors import conditional_writes_unsupported
from records.storage.names import LEASE
from records.storage.remote.conditional import (
    ConditionalStore,
    PreconditionFailedError,
    VersionedObject,
)
from records.strict_json import decode_json

LEASE_SECONDS = 60.0
RENEW_SECONDS = 15.0
_RELEASE_SECONDS = 5.0
_IMPOSSIBLE_TAG = '"00000000000000000000000000000000"'


class _Content(msgspec.Struct, frozen=True):
    token: str
    renewal: int
    renewed_at: float


@contextmanager
def hold_lease(store: ConditionalStore) -> Iterator[Lease]:
    """Hold the lease of a folder during the block and renew it in the background.

    Raises:
        LockedError: another run holds the lease.
        OutputError: the store does not support conditional writes.
        StorageError: storage failed after retries.
    """
    lease = Lease(store)
    lease.acquire()
    is_over = threading.Event()
    renewer = threading.Thread(target=_renew_loop, args=(lease, is_over), name="lease", daemon=True)
    try:
        renewer.start()
        yield lease
        is_over.set()
        renewer.join()
    except StorageError:
        lease.check()
        raise
    except Exception:
        # The next holder may have caused the error: a lost lease is the better explanation.
        with suppress(StorageError, OutputError):
            lease.renew()
        raise
    finally:
        is_over.set()
        # The wait is limited, because the lease cannot be released on unavailable storage.
        if renewer.is_alive():  # a signal may interrupt its start
            renewer.join(_RELEASE_SECONDS)


def _renew_loop(lease: Lease, is_over: threading.Event) -> None:
    while not is_over.wait(RENEW_SECONDS):
        # The next iteration repeats a renewal that failed, or that expired credentials forbade.
        with suppress(StorageError, OutputError):
            try:
                lease.renew()
            except LockedError:
                return
    with suppress(ShardmillError):
        lease.release()


class Lease:
    """The lease of one holder on a folder; any thread may renew it."""

    def __init__(self, store: ConditionalStore) -> None:
        self._store = store
        self._token = secrets.token_hex(16)
        self._renewal = 0
        self._tag = ""
        self._is_lost = False
        self._writing = threading.Lock()

    def acquire(self) -> None:
        """Acquire the lease if it is free or has expired. Raises as `hold_lease`."""
        try:
            self._tag = self._store.put_if_absent(LEASE, self._content())
        except FileExistsError:
            self._take_over()
        self._require_conditional_writes()

    def renew(self) -> None:
        """Renew the lease; only its holder can.

        Raises:
            LockedError: another run took over.
            StorageError: storage failed after retries.
        """
        with self._writing:
            if not self._is_lost:
                try:
                    self._put_if_match(self._tag)
                except PreconditionFailedError:
                    self._is_lost = True
        self.check()

    def ensure_held(self) -> None:
        """See `FolderLock.ensure_held`; it renews the lease."""
        self.renew()

    def check(self) -> None:
        """Raise LockedError if the lease is known to be lost."""
        if self._is_lost:
            raise LockedError(
                "another run took over because this run could not renew its lease",
                path=self._store.url,
                hint="wait for that run to end, then run the same command again",
            )

    def release(self) -> None:
        """Release the lease. Raises as `renew`."""
        self.renew()
        self._store.delete_if_match(LEASE, self._tag)

    def _take_over(self) -> None:
        current = self._store.get(LEASE)
        if current is None:  # its holder has just released it
            raise self._locked("another run has just written here", "run the same command again")
        left_seconds = LEASE_SECONDS - _age_seconds(current)
        if left_seconds > 0 and not self._is_held_by_us(current):
            raise self._locked(
                "another run is writing here",
                f"wait for it to end; if it has crashed, its lease expires in {left_seconds:.0f} s",
            )
        try:
            self._put_if_match(current.tag)
        except PreconditionFailedError as error:
            raise self._locked(
                "another run has just started to write here", "wait for it to end"
            ) from error

    def _put_if_match(self, tag: str) -> None:
        """Replace the version of the lease that has this tag.

        If the response to an earlier write of this holder was lost, the version that this earlier
        write created is replaced too.

        Raises:
            PreconditionFailedError: another holder wrote the lease.
        """
        content = self._content()
        while True:
            try:
                self._tag = self._store.put_if_match(LEASE, content, tag)
            except PreconditionFailedError:
                current = self._store.get(LEASE)
                if current is None or not self._is_held_by_us(current) or current.tag == tag:
                    raise
                tag = self._tag = current.tag
                if current.content != content:
                    continue
            return

    def _require_conditional_writes(self) -> None:
        """Check that the store refuses writes whose condition is false, else raise OutputError."""
        try:
            self._tag = self._store.put_if_absent(LEASE, self._content())
        except FileExistsError:
            try:
                self._tag = self._store.put_if_match(LEASE, self._content(), _IMPOSSIBLE_TAG)
            except PreconditionFailedError:
                return
        self._store.delete_if_match(LEASE, self._tag)
        raise conditional_writes_unsupported(self._store.url)

    def _is_held_by_us(self, current: VersionedObject) -> bool:
        content = _decode(current)
        return content is not None and content.token == self._token

    def _content(self) -> bytes:
        # The bytes must change: with equal bytes, a tag that is a hash would not show the renewal.
        self._renewal += 1
        return msgspec.json.encode(_Content(self._token, self._renewal, time.time()))

    def _locked(self, what: str, hint: str) -> LockedError:
        return LockedError(what, path=self._store.url, hint=hint)


def _decode(lease: VersionedObject) -> _Content | None:
    try:
        return decode_json(lease.content, _Content)
    except msgspec.DecodeError:
        return None


def _age_seconds(lease: VersionedObject) -> float:
    """Return the time since the last renewal in seconds; a damaged lease counts as expired."""
    content = _decode(lease)
    if content is None:
        return LEASE_SECONDS
    if lease.age_seconds is None:
        return time.time() - content.renewed_at
    return max(0.0, lease.age_seconds)
