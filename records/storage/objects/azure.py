"""`az://`: requests to Azure Blob Storage, over azure-storage-blob.

The account is found in the environment, as in Azure's command line: a connection string, or the
name of the account with a key, a SAS token or the identity of the machine.
"""

from __future__ import annotations

import errno
import os
import secrets
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache, partial
from typing import Any, BinaryIO, TypeVar

from azure.core import MatchConditions
from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ServiceRequestError,
    ServiceResponseError,
)
from azure.storage.blob import BlobBlock, ContainerClient

from records.errors import UsageError
from records.runtime.extras import require_extra
from records.runtime.parallel_map import IO_THREADS, parallel_map
from records.storage.base import FileInfo
from records.storage.errors import access_denied, refused
from records.storage.objects import client as limits
from records.storage.objects.client import (
    ABSENT,
    BucketClient,
    ConditionFailedError,
    ListPage,
    RangeError,
    age_seconds,
    explain_no_response,
    missing_bucket,
)
from records.storage.remote.conditional import VersionedObject
from records.storage.remote.patience import UnavailableError

_T = TypeVar("_T")

ONE_REQUEST_BYTES = 16 << 20
PART_BYTES = 16 << 20
_MOST_PARTS = 50_000
_GET_BYTES = 256 << 20
_VARIABLES = (
    *("AZURE_STORAGE_CONNECTION_STRING", "AZURE_STORAGE_ACCOUNT_NAME"),
    *("AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_SAS_TOKEN"),
)
_HINT_ACCOUNT = (
    "set AZURE_STORAGE_CONNECTION_STRING, or AZURE_STORAGE_ACCOUNT_NAME with"
    " AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_SAS_TOKEN"
)
_HINT_CREDENTIALS = f"check the credentials and their permissions: {_HINT_ACCOUNT}"
_HINT_CERTIFICATE = "set REQUESTS_CA_BUNDLE to the file of the certificates that sign the server's"
_EXISTS = {"BlobAlreadyExists", "ConditionNotMet", "TargetConditionNotMet"}
_TRY_LATER = {"ServerBusy", "OperationTimedOut", "InternalError"}


class AzureClient(BucketClient):
    """A container of Azure Blob Storage; see `ObjectClient`."""

    lists_from_key = False

    def head(self, key: str) -> FileInfo:
        """See `ObjectClient.head`."""
        found = self._send(key, lambda blobs: blobs.get_blob_client(key).get_blob_properties())
        if _is_folder(found):
            raise _not_found(self.path(key))
        return FileInfo(found.size, _tag(found.etag))

    def get(
        self, key: str, span: tuple[int, int] | None = None, tag: str | None = None
    ) -> VersionedObject:
        """See `ObjectClient.get`."""
        wanted: dict[str, Any] = _condition(tag)
        if span is not None:
            wanted.update(offset=span[0], length=span[1] - span[0])

        def request(blobs: ContainerClient) -> VersionedObject:
            headers: dict[str, str] = {}

            def keep(response: Any) -> None:
                headers.update(
                    {name.lower(): text for name, text in response.http_response.headers.items()}
                )

            found = blobs.get_blob_client(key).download_blob(raw_response_hook=keep, **wanted)
            age = age_seconds(headers.get("last-modified"), headers.get("date"))
            return VersionedObject(found.readall(), _tag(found.properties.etag), age)

        return self._send(key, request)

    def put(self, key: str, data: bytes, condition: str | None = None) -> str:
        """See `ObjectClient.put`."""
        wanted = _condition(condition)

        def request(blobs: ContainerClient) -> str:
            blob = blobs.get_blob_client(key)
            found = blob.upload_blob(data, overwrite=condition != ABSENT, **wanted)
            return _tag(found["etag"])

        return self._send(key, request, writes=True)

    def create(self, key: str, stream: BinaryIO, condition: str | None = ABSENT) -> None:
        """See `ObjectClient.create`: blocks are invisible until the last request."""
        size_bytes = stream.seek(0, os.SEEK_END)
        stream.seek(0)
        if size_bytes <= ONE_REQUEST_BYTES:
            self.put(key, stream.read(), condition)
            return
        part_bytes = max(PART_BYTES, -(-size_bytes // _MOST_PARTS))
        # Uploads of the same object share one list of blocks: each needs unique names.
        upload, names = secrets.token_bytes(16), list[str]()
        while block := stream.read(part_bytes):
            names.append(b64encode(upload + b"%08d" % len(names)).decode())
            self._send(key, partial(_stage, key, names[-1], block), writes=True)
        self._send(key, partial(_commit, key, names, condition), writes=True)

    def delete(self, key: str, tag: str | None = None) -> None:
        """See `ObjectClient.delete`."""
        wanted = _condition(tag)
        self._send(key, lambda blobs: blobs.get_blob_client(key).delete_blob(**wanted), writes=True)

    def delete_all(self, keys: Sequence[str]) -> None:
        """See `ObjectClient.delete_all`; each object is one request."""
        for _ in parallel_map(self._delete_if_exists, keys, threads=IO_THREADS):
            pass

    def list_page(
        self,
        prefix: str,
        *,
        token: str | None = None,
        start: str = "",  # noqa: ARG002 - see `lists_from_key`
        delimiter: str = "",  # noqa: ARG002
    ) -> ListPage:
        """See `ObjectClient.list_page`."""

        def request(blobs: ContainerClient) -> ListPage:
            found = blobs.list_blobs(name_starts_with=prefix, include=["metadata"])
            pages = found.by_page(continuation_token=token)
            files = [
                (blob.name, FileInfo(blob.size, _tag(blob.etag)))
                for blob in next(pages, ())
                if not (blob.name.endswith("/") or _is_folder(blob))
            ]
            return ListPage(files, (), pages.continuation_token or None)

        return self._send("", request)

    def _delete_if_exists(self, key: str) -> None:
        with suppress(FileNotFoundError):
            self.delete(key)

    def _send(
        self, key: str, request: Callable[[ContainerClient], _T], *, writes: bool = False
    ) -> _T:
        path = self.path(key)

        def send_once() -> _T:
            try:
                return request(connect(self.bucket))
            except ClientAuthenticationError as error:
                raise self._explain(error, path, writes=writes) from error
            except (ServiceRequestError, ServiceResponseError) as error:
                raise explain_no_response(
                    error,
                    path,
                    writes=writes,
                    certificate_hint=_HINT_CERTIFICATE,
                    address_hint=_HINT_ACCOUNT,
                ) from error
            except HttpResponseError as error:
                raise self._explain(error, path, writes=writes) from error
            except AzureError as error:  # a cut body
                raise UnavailableError(type(error).__name__) from error

        return self.send(key, send_once)

    def _explain(self, error: HttpResponseError, path: str, *, writes: bool) -> Exception:
        status = error.status_code or 0
        code = str(getattr(error, "error_code", None) or "")
        if not status and isinstance(error, ClientAuthenticationError):  # no token
            what = "credentials are missing"
            return access_denied(path, writes=writes, hint=_HINT_ACCOUNT, what=what)
        if not status or status >= 500 or status in {408, 429} or code in _TRY_LATER:
            return UnavailableError(f"{status} {code}".rstrip() if status else "a cut response")
        by_code = {
            **dict.fromkeys(_EXISTS, ConditionFailedError(code)),
            "ContainerNotFound": missing_bucket(self.url, writes=writes),
            "InvalidBlockList": _not_found(path),  # another upload has been completed
        }
        by_status = {404: _not_found(path), 412: ConditionFailedError(code), 416: RangeError(code)}
        return (
            by_code.get(code)
            or by_status.get(status)
            or refused(path, status, code, writes=writes, access_hint=_HINT_CREDENTIALS)
        )


def _not_found(path: str) -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)


def _stage(key: str, name: str, block: bytes, blobs: ContainerClient) -> None:
    blobs.get_blob_client(key).stage_block(name, block, length=len(block))


def _commit(key: str, names: Sequence[str], condition: str | None, blobs: ContainerClient) -> None:
    blocks = [BlobBlock(name) for name in names]
    blobs.get_blob_client(key).commit_block_list(blocks, **_condition(condition))


def _condition(condition: str | None) -> dict[str, Any]:
    if condition is None:
        return {}
    if condition == ABSENT:
        return {"match_condition": MatchConditions.IfMissing}
    return {"etag": f'"{condition}"', "match_condition": MatchConditions.IfNotModified}


def _tag(etag: str) -> str:
    return etag.strip('"')  # a listing has no quotes, a header has


def _is_folder(blob: Any) -> bool:
    """Return whether a blob stands for a folder, in accounts with a hierarchical namespace."""
    return (blob.metadata or {}).get("hdi_isfolder") == "true"


def connect(container: str) -> ContainerClient:
    """Return the connections of this process; any number of threads may use them.

    Raises:
        UsageError: the environment names no account, or its values are invalid.
    """
    # A forked process must not share the sockets of its parent.
    return _connect(os.getpid(), container)


def disconnect() -> None:
    """Discard the connections; the next request looks up the account again."""
    _connect.cache_clear()


@cache
def _connect(_process_id: int, container: str) -> ContainerClient:
    given = {name: os.environ.get(name, "") for name in _VARIABLES}
    options: dict[str, Any] = {
        "retry_total": 0,  # see `Patience`
        "connection_timeout": limits.CONNECT_SECONDS,
        "read_timeout": limits.READ_SECONDS,
        "max_single_get_size": _GET_BYTES,
        "max_single_put_size": _GET_BYTES,
    }
    try:
        if text := given["AZURE_STORAGE_CONNECTION_STRING"]:
            return ContainerClient.from_connection_string(text, container, **options)
        account = given["AZURE_STORAGE_ACCOUNT_NAME"]
        if not account:
            raise UsageError("no Azure storage account is set", hint=_HINT_ACCOUNT)
        url = f"https://{account}.blob.core.windows.net"
        return ContainerClient(url, container, credential=_credential(given), **options)
    except ValueError as error:
        raise UsageError("the Azure settings are invalid", hint=_HINT_ACCOUNT) from error


def _credential(given: Mapping[str, str]) -> Any:
    shared = given["AZURE_STORAGE_ACCOUNT_KEY"] or given["AZURE_STORAGE_SAS_TOKEN"]
    if shared:
        return shared
    return require_extra("azure.identity", "azure").DefaultAzureCredential()
