"""One writer at a time on an object store, which has no locks: a lease object that runs out.

    .shardmill/lease.json   {"token": who, "renewal": how often renewed, "renewed_at": Unix time}

It is created only if absent, renewed four times as often as need be, and runs out where its holder
is dead. Then another run takes it over, by a write that the store refuses if anybody wrote the
lease since it was looked at: of two that try only one can. How old it is the store's own clock
tells. A holder that slept meanwhile finds its next renewal refused, and it renews the lease right
before it publishes a manifest.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import msgspec

from records.errors import LockedError, ShardmillError, StorageError
from records.storage.conditional import ConditionalStore, PreconditionFailedError, VersionedObject
from records.storage.errors import conditional_writes_unsupported
from records.storage.names import LEASE
from records.strict_json import decode_json

LEASE_SECONDS = 60.0
RENEW_SECONDS = 15.0
_RELEASE_SECONDS = 5.0
_NO_TAG = '"00000000000000000000000000000000"'


class _Content(msgspec.Struct, frozen=True):
    token: str
    renewal: int
    renewed_at: float


@contextmanager
def hold_lease(store: ConditionalStore) -> Iterator[Lease]:
    """Hold a folder's lease while the block runs, renewed in the background.

    Raises:
        LockedError: another run holds it.
        OutputError: the store cannot keep one of two writers out.
        StorageError: storage failed after retries.
    """
    lease = Lease(store)
    lease.acquire()
    over = threading.Event()
    keeper = threading.Thread(target=_renew_loop, args=(lease, over), name="lease", daemon=True)
    keeper.start()
    try:
        yield lease
        over.set()
        keeper.join()
    except StorageError:
        lease.check()
        raise
    except Exception:
        # Who lost it meets what the next holder did: that it lost it is what there is to say.
        with suppress(StorageError):
            lease.renew()
        raise
    finally:
        over.set()
        # Where storage is gone, letting go of the lease would only be waited for in vain.
        keeper.join(_RELEASE_SECONDS)


def _renew_loop(lease: Lease, over: threading.Event) -> None:
    while not over.wait(RENEW_SECONDS):
        # A renewal that fails is tried again at the next turn.
        with suppress(StorageError):
            try:
                lease.renew()
            except LockedError:
                return
    with suppress(ShardmillError):
        lease.release()


class Lease:
    """A lease on a folder, of one holder; `confirm` may be called from any thread."""

    def __init__(self, store: ConditionalStore) -> None:
        self._store = store
        self._token = secrets.token_hex(16)
        self._renewal = 0
        self._tag = ""
        self._is_lost = False
        self._writing = threading.Lock()

    def acquire(self) -> None:
        """Take the lease where it is free or has run out. Raises as `hold_lease`."""
        try:
            self._tag = self._store.put_if_absent(LEASE, self._content())
        except FileExistsError:
            self._take_over()
        self._check_conditions()

    def ensure_held(self) -> None:
        """See `FolderLock.ensure_held`."""
        self.renew()

    def renew(self) -> None:
        """Renew the lease, which only its holder can. Raises as `FolderLock.ensure_held`."""
        with self._writing:
            if not self._is_lost:
                try:
                    self._put_if_match(self._tag)
                except PreconditionFailedError:
                    self._is_lost = True
        self.check()

    def check(self) -> None:
        """Raise LockedError where the lease is known to be lost."""
        if self._is_lost:
            raise LockedError(
                "another run took over here, for this one could not renew its lease",
                path=self._store.url,
                hint="let that one end, then run the same command again",
            )

    def release(self) -> None:
        """Free the folder. Raises as `confirm`."""
        self.renew()
        self._store.delete_if_match(LEASE, self._tag)

    def _take_over(self) -> None:
        seen = self._store.get(LEASE)
        if seen is None:  # its holder has just let go of it
            raise self._busy("another run has just written here", "run the same command again")
        left_seconds = LEASE_SECONDS - _age_seconds(seen)
        if left_seconds > 0 and not self._is_held_by_us(seen):
            raise self._busy(
                "another run is writing here",
                f"wait for it to end; a dead one frees it in {left_seconds:.0f} s",
            )
        try:
            self._put_if_match(seen.tag)
        except PreconditionFailedError as error:
            raise self._busy(
                "another run has just begun to write here", "wait for it to end"
            ) from error

    def _put_if_match(self, tag: str) -> None:
        """Write the lease over a version. Raises PreconditionFailedError where it is not there, nor ours."""
        content = self._content()
        while True:
            try:
                self._tag = self._store.put_if_match(LEASE, content, tag)
            except PreconditionFailedError:
                # The answer to a write of ours may have been lost.
                seen = self._store.get(LEASE)
                if seen is None or not self._is_held_by_us(seen) or seen.tag == tag:
                    raise
                tag = self._tag = seen.tag
                if seen.content != content:
                    continue
            return

    def _check_conditions(self) -> None:
        """Have the store refuse what it must. Raises OutputError where it does not."""
        try:
            self._tag = self._store.put_if_absent(LEASE, self._content())
        except FileExistsError:
            try:
                self._tag = self._store.put_if_match(LEASE, self._content(), _NO_TAG)
            except PreconditionFailedError:
                return
        self._store.delete_if_match(LEASE, self._tag)
        raise conditional_writes_unsupported(self._store.url)

    def _is_held_by_us(self, seen: VersionedObject) -> bool:
        content = _decode(seen)
        return content is not None and content.token == self._token

    def _content(self) -> bytes:
        # No two are the same bytes: a tag that does not change would tell nobody of a renewal.
        self._renewal += 1
        return msgspec.json.encode(_Content(self._token, self._renewal, time.time()))

    def _busy(self, what: str, hint: str) -> LockedError:
        return LockedError(what, path=self._store.url, hint=hint)


def _decode(seen: VersionedObject) -> _Content | None:
    try:
        return decode_json(seen.content, _Content)
    except msgspec.DecodeError:
        return None


def _age_seconds(seen: VersionedObject) -> float:
    """How long ago a lease was renewed; one that is none is older than any."""
    content = _decode(seen)
    if content is None:
        return LEASE_SECONDS
    if seen.age_seconds is None:
        return time.time() - content.renewed_at
    return max(0.0, seen.age_seconds)
