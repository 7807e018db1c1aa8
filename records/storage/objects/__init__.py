"""Folders on object stores: one storage, one client per cloud."""

from __future__ import annotations

import importlib
import re

from records.errors import UsageError
from records.runtime.extras import install_command
from records.runtime.storage_patience import default_patience_seconds
from records.storage.objects.storage import ObjectStorage
from records.storage.remote.patience import Patience

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_CLIENTS = {
    "s3": ("records.storage.objects.s3", "S3Client", "s3"),
    "gs": ("records.storage.objects.gcs", "GcsClient", "gcs"),
    "az": ("records.storage.objects.azure", "AzureClient", "azure"),
}
"""The module, the class and the extra of the client of each scheme."""
SCHEMES = frozenset(_CLIENTS)


def open_object_storage(url: str, patience_seconds: float | None = None) -> ObjectStorage:
    """Open a folder in a bucket, without a request.

    Args:
        url: `s3://BUCKET/FOLDER`, `gs://BUCKET/FOLDER` or `az://CONTAINER/FOLDER`.
        patience_seconds: the time for which failing requests are repeated; by default, that of
            this process. Other processes that unpickle the storage keep it.

    Raises:
        UsageError: the URL is invalid, or the package of its client is not installed.
    """
    scheme = url.partition("://")[0].lower()
    bucket, folder = split_url(url)
    module, name, extra = _CLIENTS[scheme]
    try:
        client = getattr(importlib.import_module(module), name)
    except ImportError as error:
        raise UsageError(
            f"{scheme}:// needs a package that is not installed",
            got=str(error),
            hint=install_command(extra),
        ) from error
    seconds = default_patience_seconds() if patience_seconds is None else patience_seconds
    return ObjectStorage(client(bucket, Patience(f"{scheme}://{bucket}", seconds)), folder)


def split_url(url: str) -> tuple[str, str]:
    """Return the bucket and the folder of a URL, without slashes around the folder.

    Raises:
        UsageError: the URL is invalid. The message omits the URL, which may contain a secret.
    """
    scheme, _, rest = url.partition("://")
    bucket, _, folder = rest.partition("/")
    if not _BUCKET.fullmatch(bucket):
        raise UsageError(
            f"invalid {scheme}:// URL",
            expected=f"{scheme}://BUCKET/FOLDER",
            got="a URL with a user name or password" if "@" in url else "an invalid bucket name",
            hint="correct the URL; credentials are read from the environment and from the files"
            " of the cloud's own tools",
        )
    return bucket, folder.strip("/")
