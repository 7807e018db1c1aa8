"""Storage over fsspec: failures that may pass, listings without sizes, URLs that do not open."""

from __future__ import annotations

import sys
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from records.errors import (
    AccessDeniedError,
    OutputError,
    RefusedReadError,
    StorageError,
    UsageError,
)
from records.storage import open_storage, write_file
from records.storage.fsspec import FsspecStorage
from records.storage.remote.patience import forget_outages
from records.storage.retry import RetryPolicy
from tests.clock import replace_time

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ONCE = RetryPolicy(attempts=1, first_wait_seconds=0)


class ClientConnectorError(Exception):
    """As aiohttp reports a server that does not answer: a subclass by name."""


class ClientConnectionError(ClientConnectorError):
    """The name that shardmill knows."""


def with_status(status: int) -> Exception:
    """Return an error as aiohttp raises it for a response."""
    error = Exception("response")
    error.status = status  # type: ignore[attr-defined]
    return error


@pytest.fixture
def fail(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[int]]:
    """Return a function that lets the next reads of a storage fail, and counts all reads."""
    replace_time(monkeypatch, "records.storage.remote.patience", sleep=lambda _: None)
    forget_outages()

    def install(storage: FsspecStorage, error: Exception, times: int) -> list[int]:
        real, calls = storage._fs.cat_file, list[int]()  # noqa: SLF001

        def cat_file(*given: Any, **named: Any) -> bytes:
            calls.append(1)
            if len(calls) <= times:
                raise error
            return bytes(real(*given, **named))

        monkeypatch.setattr(storage._fs, "cat_file", cat_file)  # noqa: SLF001
        return calls

    return install


def make_storage(patience_seconds: float = 600) -> FsspecStorage:
    """Return a folder in memory with one file."""
    url = f"memory://{uuid.uuid4().hex}/data"
    storage = FsspecStorage(url, ONCE, patience_seconds)
    storage.replace("a", b"content")
    return storage


@pytest.mark.parametrize(
    "error",
    [ConnectionResetError(), TimeoutError(), ClientConnectionError(), with_status(429)]
    + [with_status(status) for status in (500, 502, 503, 504)],
    ids=lambda error: f"{type(error).__name__}-{getattr(error, 'status', '')}",
)
def test_fsspec_unavailable_store_is_waited_for(
    fail: Callable[..., list[int]], error: Exception
) -> None:
    storage = make_storage()
    calls = fail(storage, error, times=20)
    assert storage.read("a") == b"content"
    assert len(calls) == 21


def not_found_after(cause: Exception) -> FileNotFoundError:
    """Return the error that fsspec raises for a request over HTTP that fails."""
    error = FileNotFoundError()
    error.__cause__ = cause
    return error


def test_fsspec_other_failure_is_not_waited_for(fail: Callable[..., list[int]]) -> None:
    storage = make_storage()
    calls = fail(storage, ValueError(), times=20)
    with pytest.raises(StorageError, match="storage failed after retries"):
        storage.read("a")
    assert len(calls) == 1


def test_fsspec_patience_over_names_reason(fail: Callable[..., list[int]]) -> None:
    storage = make_storage(patience_seconds=0)
    fail(storage, ConnectionResetError(), times=1)
    with pytest.raises(StorageError, match="after retries, got ConnectionResetError"):
        storage.read("a")


DENIED = [PermissionError(), *map(with_status, (401, 403)), not_found_after(with_status(403))]


@pytest.mark.parametrize("error", DENIED, ids=repr)
def test_fsspec_refused_read_is_sent_once_and_raises_access_denied_error(
    fail: Callable[..., list[int]], error: Exception
) -> None:
    storage = make_storage()
    calls = fail(storage, error, times=20)
    with pytest.raises(AccessDeniedError, match="access is denied"):
        storage.read("a")
    assert len(calls) == 1


@pytest.mark.parametrize("status", [400, 405, 451])
def test_fsspec_read_that_is_refused_with_another_status_is_sent_once(
    fail: Callable[..., list[int]], status: int
) -> None:
    storage = make_storage()
    calls = fail(storage, with_status(status), times=20)
    with pytest.raises(RefusedReadError, match=f"refused a request, got {status}") as found:
        storage.read("a")
    assert (len(calls), found.value.exit_code) == (1, 66)


def overwrite(storage: FsspecStorage) -> None:
    with storage.overwrite("a") as staged:
        staged.write(b"")


@pytest.mark.parametrize(
    ("method", "write"),
    [
        ("pipe_file", lambda storage: storage.replace("a", b"")),
        ("pipe_file", lambda storage: storage.put_if_absent("b", b"")),
        ("put_file", overwrite),
        ("put_file", lambda storage: write_file(storage, "b", b"")),
        ("makedirs", lambda storage: storage.replace("b/c", b"")),
        ("makedirs", lambda storage: storage.put_if_absent("b/c", b"")),
        ("makedirs", lambda storage: write_file(storage, "b/c", b"")),
        ("rm_file", lambda storage: storage.remove("a")),
    ],
)
@pytest.mark.parametrize(
    ("error", "message"),
    [
        (PermissionError(), "access is denied"),
        (with_status(403), "access is denied, got 403"),
        (with_status(405), "storage refused a request, got 405"),
    ],
    ids=repr,
)
def test_fsspec_refused_write_raises_output_error(
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    write: Callable[[FsspecStorage], object],
    error: Exception,
    message: str,
) -> None:
    storage = make_storage()

    def refuse(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(storage._fs, method, refuse)  # noqa: SLF001
    with pytest.raises(OutputError, match=message):
        write(storage)


@pytest.mark.parametrize("cause", [with_status(503), ClientConnectionError()])
def test_fsspec_failure_reported_as_missing_file_is_waited_for(
    fail: Callable[..., list[int]], cause: Exception
) -> None:
    storage = make_storage()
    calls = fail(storage, not_found_after(cause), times=3)
    assert storage.read("a") == b"content"
    assert len(calls) == 4


def test_fsspec_listing_without_sizes_asks_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    storage = make_storage()
    real = storage._fs.find  # noqa: SLF001

    def find(*given: Any, **named: Any) -> dict[str, Any]:
        return {name: {**info, "size": None} for name, info in real(*given, **named).items()}

    monkeypatch.setattr(storage._fs, "find", find)  # noqa: SLF001
    assert [(name, info.size_bytes) for name, info in storage.list_info()] == [("a", 7)]


@pytest.mark.parametrize(
    ("url", "hint"),
    [
        ("zip://cat::{folder}/no.zip", "name the archive: zip://"),
        ("zip://{folder}/photos", "name the archive: zip://"),
        ("nosuch://bucket/a", "see the table of stores"),
        ("nosuch://[bucket/a", "see the table of stores"),
    ],
)
def test_fsspec_url_that_cannot_be_opened_is_one_line_with_hint(
    tmp_path: Path, url: str, hint: str
) -> None:
    with pytest.raises(UsageError, match="this URL cannot be opened, got ") as found:
        open_storage(url.format(folder=tmp_path))
    assert hint in str(found.value)
    assert "\n" not in str(found.value)


@pytest.mark.parametrize(
    ("scheme", "module", "hint"),
    [
        ("https", "fsspec.implementations.http", "pip install aiohttp requests"),
        ("hf", "huggingface_hub", "pip install huggingface_hub"),
        ("sftp", "fsspec.implementations.sftp", "pip install paramiko"),
    ],
)
def test_fsspec_missing_package_is_named(
    monkeypatch: pytest.MonkeyPatch, scheme: str, module: str, hint: str
) -> None:
    known = sys.modules["fsspec.registry"]._registry  # noqa: SLF001 - what it has loaded before
    monkeypatch.delitem(known, scheme, raising=False)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UsageError, match="a package that is not installed") as found:
        open_storage(f"{scheme}://host/folder/")
    assert hint in str(found.value)
